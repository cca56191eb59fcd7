"""The loop of docs/own_loop.md runs as it is written, for fewer epochs."""

import re
from pathlib import Path

import pytest
import torch

from advprune.evaluation import cost
from advprune.shipping import load

ROOT = Path(__file__).parents[1]


def test_the_loop_of_ones_own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "own_loop.md").read_text()
    code = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0]
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code.replace("range(10)", "range(1)"), "own_loop.md", "exec"), names)
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(load("model")(x), names["slim"](x))  # type: ignore[operator]
    assert cost(load("model"), x).macs > 0
