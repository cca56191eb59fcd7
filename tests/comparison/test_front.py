from advprune.comparison.front import NAMED, on_front, picture

POINTS = {
    "large": (90.0, 100.0),
    "small": (85.0, 10.0),
    "worse": (84.0, 20.0),
    "twin": (85.0, 10.0),
}


def test_what_is_beaten_in_both_is_not_on_the_front() -> None:
    assert on_front(POINTS) == {"large", "small", "twin"}


def test_a_point_as_robust_but_larger_is_beaten() -> None:
    assert on_front({"a": (85.0, 10.0), "b": (85.0, 11.0)}) == {"a"}


def test_of_many_points_those_on_the_front_are_named() -> None:
    crowd = POINTS | {f"worse {number}": (10.0, 20.0) for number in range(NAMED)}
    svg = picture(crowd, dict.fromkeys(crowd, (0.0, 0.0)), "right, %")
    named = {name for name in crowd if f">{name}<" in svg}
    assert named == {"large", "small", "twin"}


def test_the_picture_names_every_point() -> None:
    svg = picture(POINTS, dict.fromkeys(POINTS, (0.5, 0.0)), "right, %")
    assert svg.startswith("<svg")
    assert all(f">{name}<" in svg for name in POINTS)
    assert "mathdefault" not in svg
