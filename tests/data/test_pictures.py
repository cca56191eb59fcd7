from pathlib import Path

import pytest
from PIL import Image

from advprune.data.pictures import decode


def picture(file: Path, width: int, height: int, colour: tuple[int, int, int]) -> tuple[str, Path]:
    Image.new("RGB", (width, height), colour).save(file)
    return file.name, file


def test_pictures_become_channels_of_bytes(tmp_path: Path) -> None:
    x = decode([picture(tmp_path / "a.png", 2, 3, (10, 20, 30))], None, 3)
    assert x.shape == (1, 3, 3, 2)
    assert x[0, :, 0, 0].tolist() == [10, 20, 30]


def test_content_is_decoded_like_a_file(tmp_path: Path) -> None:
    name, file = picture(tmp_path / "a.png", 2, 3, (10, 20, 30))
    assert decode([(name, file.read_bytes())], None, 3).equal(decode([(name, file)], None, 3))


def test_one_channel_is_grey(tmp_path: Path) -> None:
    x = decode([picture(tmp_path / "a.png", 2, 3, (40, 40, 40))], None, 1)
    assert x.shape == (1, 1, 3, 2)
    assert x.flatten().tolist() == [40] * 6


def test_pictures_of_different_size_are_refused_by_name(tmp_path: Path) -> None:
    pair = [picture(tmp_path / f"{w}.png", w, 3, (0, 0, 0)) for w in (2, 4)]
    with pytest.raises(ValueError, match=r"2\.png has 3x2, 4\.png has 3x4 .*Give size="):
        decode(pair, None, 3)


@pytest.mark.parametrize(("size", "shape"), [(5, (5, 5)), ((5, 6), (5, 6))])
def test_a_size_makes_them_alike(
    tmp_path: Path, size: int | tuple[int, int], shape: tuple[int, int]
) -> None:
    pair = [picture(tmp_path / f"{w}.png", w, 3, (0, 0, 0)) for w in (2, 4)]
    assert decode(pair, size, 3).shape == (2, 3, *shape)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_text("hello")
    with pytest.raises(ValueError, match=r"b\.png cannot be read as an image"):
        decode([("b.png", tmp_path / "b.png")], None, 3)


def test_a_truncated_picture_is_named(tmp_path: Path) -> None:
    name, file = picture(tmp_path / "c.bmp", 20, 20, (1, 2, 3))
    with pytest.raises(ValueError, match=r"c\.bmp cannot be read as an image"):
        decode([(name, file.read_bytes()[:200])], None, 3)


@pytest.mark.parametrize(("mode", "file"), [("I;16", "d.png"), ("I", "d.tiff"), ("F", "d.tiff")])
def test_deep_pictures_are_refused_since_they_would_be_clipped(
    tmp_path: Path, mode: str, file: str
) -> None:
    Image.new(mode, (2, 3), 300).save(tmp_path / file)
    with pytest.raises(ValueError, match=rf"{file} has more than 8 bits a pixel"):
        decode([(file, tmp_path / file)], None, 1)


@pytest.mark.parametrize("size", [0, (4, 0), (1, 2, 3)])
def test_an_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="size must be a positive int or"):
        decode([], size, 3)


def test_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"channels must be 1 .* or 3 .*, got 2"):
        decode([], None, 2)


def test_no_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="There are no images"):
        decode([], None, 3)
