import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import advprune as ap
from advprune.attacks import FewPixels
from advprune.certificates import Verdict
from advprune.threat import ThreatModel

THREAT = ThreatModel("linf", 0.2)


class Brightness(nn.Module):
    """Class 1 where the mean of four pixels is above 0.5: sign and margin are linear."""

    def __init__(self) -> None:
        super().__init__()
        self.f1, self.f2 = nn.Linear(4, 2), nn.Linear(2, 2)
        self.f1.weight.data = torch.tensor([[-0.25], [0.25]]).expand(2, 4).clone()
        self.f1.bias.data = torch.tensor([0.5, -0.5])
        self.f2.weight.data, self.f2.bias.data = torch.eye(2), torch.zeros(2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.f2(self.f1(x.flatten(1)).relu())
        return logits


def data() -> tuple[Tensor, Tensor]:
    """0.9 and 0.1 are safe at eps 0.2, 0.6 is not, and 0.7 has a wrong label."""
    x = torch.tensor([0.9, 0.1, 0.6, 0.7]).view(4, 1, 1, 1).expand(4, 1, 2, 2).contiguous()
    return x, torch.tensor([1, 0, 1, 0])


def test_a_lower_bound_stands_beside_an_upper_one() -> None:
    found = ap.certify(Brightness(), data(), THREAT, ["ibp", "crown_ibp", "crown", "complete"])
    assert found.clean == 3 / 4
    assert found.attacked is not None
    assert found.attacked.robust == 1 / 2
    sure, wrong = Verdict.CERTIFIED, Verdict.WRONG
    for name in ("ibp", "crown_ibp", "crown"):
        verdicts = found.methods[name].verdicts
        assert verdicts == (sure, sure, Verdict.UNDECIDED, wrong)
        assert found.methods[name].certified == 1 / 2
    assert found.methods["complete"].verdicts == (sure, sure, Verdict.COUNTEREXAMPLE, wrong)
    low, high = found.methods["complete"].interval
    assert (low, high) == pytest.approx((0.0676, 0.9324), abs=1e-4)  # 2 of 4


def test_smoothing_certifies_the_smoothed_classifier() -> None:
    threat = ThreatModel("l2", 0.1)
    options = {"smoothing": {"sigma": 0.1, "samples": 500}}
    found = ap.certify(Brightness(), data(), threat, "smoothing", suite=None, options=options)
    # an L2 step of 0.1 moves the mean of four pixels by 0.05
    assert found.methods["smoothing"].verdicts == (
        Verdict.CERTIFIED, Verdict.CERTIFIED, Verdict.CERTIFIED, Verdict.WRONG,
    )  # fmt: skip
    assert found.methods["smoothing"].settings["sigma"] == 0.1
    linf = ap.certify(Brightness(), data(), THREAT, "smoothing", suite=None, options=options)
    assert linf.methods["smoothing"].certified == 0  # eps √pixels is 0.4 in L2


def test_the_result_can_be_written_and_shown(tmp_path: Path) -> None:
    found = ap.certify(Brightness(), data(), THREAT, suite="quick", subset=2)
    content = json.loads(found.to_json(tmp_path / "found.json").read_text())
    assert content["schema"] == 1
    assert content["methods"]["crown_ibp"]["counts"].keys() == {str(v) for v in Verdict}
    assert len(content["indices"]) == content["examples"] == 2
    assert content["attacked"]["suite"] == "quick"
    text = str(found)
    for words in ("clean", "attacks: quick", "crown_ibp", "no less than this", "linf eps 0.2"):
        assert words in text


def test_the_model_is_left_as_it_was() -> None:
    model = Brightness().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ap.certify(model, data(), THREAT, suite=None)
    assert model.training
    torch.testing.assert_close(model.state_dict(), before)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("method", "options", "complaint"),
    [
        ("crwn", {}, "Unknown method 'crwn'"),
        ("smoothing", {}, "missing a required argument: 'sigma'"),
        ("ibp", {"ibp": {"sigma": 1}}, r"Method 'ibp' takes|method 'ibp' takes"),
        ("ibp", {"complete": {"seconds": 1}}, "Unknown method with options 'complete'"),
    ],
)
def test_impossible_settings_are_refused_before_any_work(
    method: str, options: dict[str, dict[str, float]], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        ap.certify(Brightness(), data(), THREAT, method, options=options)


def test_a_norm_without_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"norm to certify 'l0'.*Known: linf"):
        ap.certify(Brightness(), data(), FewPixels(2))


def test_without_a_rule_for_an_operator_it_is_named() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Tanh(), nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"cannot bound operator 'aten\.tanh"):
        ap.certify(model, data(), THREAT, suite=None)
