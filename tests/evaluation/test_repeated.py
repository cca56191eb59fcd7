import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from advprune.evaluation import repeat, spread
from advprune.evaluation.sample import gather
from advprune.threat import ThreatModel

THREAT = ThreatModel("linf", 0.01)
X, Y = torch.rand(40, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(40).long()


class Coin(nn.Module):
    """Answers 0 three times in four, whatever the image."""

    def forward(self, x: Tensor) -> Tensor:
        side = (torch.rand(len(x)) < 0.25).float()
        return torch.stack([1 - side, side], dim=1) + 0 * x.flatten(1)[:, :2]


def test_a_coin_is_judged_by_many_throws_and_the_worst_is_told() -> None:
    state = torch.random.get_rng_state()
    found = repeat(Coin(), (X, Y), THREAT, "paper", times=4)
    assert torch.equal(torch.random.get_rng_state(), state)
    shares = [result.clean for result in found.results]
    assert len(set(shares)) > 1
    assert found.clean.worst == min(shares)
    assert found.clean.low < 0.75 < found.clean.high
    assert [result.seed for result in found.results] == [0, 1, 2, 3]
    again = repeat(Coin(), (X, Y), THREAT, "paper", times=4)
    assert again.robust == found.robust


def test_the_interval_is_students() -> None:
    found = spread([0.4, 0.5, 0.6])  # s = 0.1, t = 4.303
    assert found.mean == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5 - 4.3027 * 0.1 / 3**0.5, abs=1e-4)
    assert found.high == pytest.approx(0.5 + 4.3027 * 0.1 / 3**0.5, abs=1e-4)
    assert found.worst == 0.4
    assert spread([0.0, 1.0]).low == 0.0
    assert str(spread([0.5, 0.5])) == "50.0 (50.0 to 50.0), worst 50.0"


def test_the_same_images_each_time_and_the_file_holds_every_result(tmp_path: Path) -> None:
    found = repeat(Coin(), (X, Y), THREAT, "paper", times=2, subset=10, seed=3)
    assert len({result.data_hash for result in found.results}) == 1
    written = json.loads(found.to_json(tmp_path / "out.json").read_text())
    assert written["robust"]["worst"] == found.robust.worst
    assert [result["seed"] for result in written["repeats"]] == [3, 4]
    assert "10 examples, 2 times" in str(found)
    first = written["repeats"][0]
    assert (len(first["indices"]), first["data_examples"]) == (10, 40)
    drawn = torch.tensor(first["indices"])
    assert gather((X[drawn], Y[drawn]), 5, subset=None, seed=0).hash == first["data_hash"]
    with pytest.raises(ValueError, match="times=1"):
        repeat(Coin(), (X, Y), THREAT, times=1)
