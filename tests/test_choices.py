import numpy as np
import pytest

from advprune.choices import check_arguments, check_count, choose


def paint(colour: str, *, coats: int = 1) -> str:
    return colour * coats


def test_a_known_name_gives_its_entry() -> None:
    assert choose("colour", "red", {"red": 1, "blue": 2}) == 1


def test_an_unknown_name_is_refused_with_the_nearest_and_all_choices() -> None:
    with pytest.raises(ValueError, match=r"colour 'blu' \(did you mean 'blue'\?\).*red, blue"):
        choose("colour", "blu", {"red": 1, "blue": 2})


def test_arguments_are_bound_without_a_call() -> None:
    assert check_arguments("paint", paint, {"colour": "red"}).kwargs == {}


def test_an_unknown_argument_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"takes colour, coats.*did you mean 'coats'"):
        check_arguments("paint", paint, {"colour": "red", "coat": 2})


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(ValueError, match="missing a required argument: 'colour'"):
        check_arguments("paint", paint, {})


@pytest.mark.parametrize("count", [1, 2.5, True, "3", None])
def test_what_is_no_count_is_refused(count: object) -> None:
    with pytest.raises(ValueError, match=f"coats={count!r}; allowed are whole numbers from 2"):
        check_count("coats", count, least=2)


def test_a_count_of_another_library_is_a_count() -> None:
    check_count("coats", np.int64(2), least=2)
