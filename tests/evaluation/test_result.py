import json
from pathlib import Path

import pytest

from advprune.evaluation import interval, write_json


@pytest.mark.parametrize(
    ("successes", "low", "high"), [(0, 0.0, 0.3085), (5, 0.1871, 0.8129), (10, 0.6915, 1.0)]
)
def test_the_interval_is_that_of_clopper_and_pearson(
    successes: int, low: float, high: float
) -> None:
    assert list(interval(successes, 10)) == pytest.approx([low, high], abs=1e-4)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_json(tmp_path / "result.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
