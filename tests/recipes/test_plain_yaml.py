from typing import Any

import pytest

from advprune.recipes import plain_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("2E5", 2e5),
        (".5", 0.5),
        ("-3", -3),
        ("true", True),
        ("null", None),
        ("on", "on"),
        ("yes", "yes"),
        ("8/255", "8/255"),
        ("2026-01-01", "2026-01-01"),
        ("010", "010"),
    ],
)
def test_scalars_are_what_people_mean(text: str, value: Any) -> None:
    read = plain_yaml.parse(text, "here")
    assert read == value
    assert type(read) is type(value)


def test_on_is_a_key_like_any_other() -> None:
    assert plain_yaml.parse("on: gated", "here") == {"on": "gated"}


def test_a_key_that_stands_twice_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"^my\.yaml, line 3: the key 'a' stands twice$"):
        plain_yaml.parse("a: 1\nb: 2\na: 3\n", "my.yaml")


def test_a_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="a key must be text, got 1"):
        plain_yaml.parse("1: a", "here")


def test_broken_yaml_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"^my\.yaml, line 2: "):
        plain_yaml.parse("a: [1,\n", "my.yaml")


def test_nothing_but_plain_values_can_be_made() -> None:
    with pytest.raises(ValueError, match="could not determine a constructor"):
        plain_yaml.parse("!!python/object/apply:os.getcwd []", "here")


def test_what_is_dumped_reads_back_the_same() -> None:
    value = {"on": "dense", "a": ["1e-3", 1e-3, "true", True, None, "8/255", 2.0, "null"]}
    assert plain_yaml.parse(plain_yaml.dump(value), "here") == value
