import pytest

from advprune.comparison.space import Choice, Range, parse


def test_ranges_and_choices_are_read() -> None:
    assert parse(["a=1..5", "b.c=1e-4..1:log", "d=x|y|2"]) == {
        "a": Range(1, 5, log=False),
        "b.c": Range(1e-4, 1, log=True),
        "d": Choice(("x", "y", "2")),
    }


def test_a_range_is_whole_where_both_ends_are() -> None:
    space = parse(["a=1..5", "b=1..5.0"])
    assert [among.whole for among in space.values() if isinstance(among, Range)] == [True, False]


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([], "nothing varies"),
        (["a"], "'a': allowed are KEY=LOW..HIGH"),
        (["a=3"], "'a=3': allowed are KEY=LOW..HIGH"),
        (["a=3..1"], "allowed are LOW < HIGH"),
        (["a=0..1:log"], "LOW < HIGH over 0"),
        (["a=1..2:lin"], "only log is allowed"),
        (["a=x..2"], "'x' is no number"),
        (["a=1..2", "a=1|2"], "a varies already"),
    ],
)
def test_what_cannot_be_meant_is_told(texts: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse(texts)
