import pytest
import torch
from rich.console import Console
from torch import nn

from advprune.corruptions import CORRUPTIONS
from advprune.evaluation import SUITES, Result, evaluate, side_by_side
from advprune.evaluation.breadth import breadth, read_radii, usual_radii
from advprune.evaluation.suites import find_suite
from advprune.threat import ThreatModel

THREAT = ThreatModel("linf", 0.1)


def families(suite: str, shape: tuple[int, int, int]) -> list[str]:
    trials = find_suite(suite)(THREAT, shape).values()
    return list(dict.fromkeys(trial.family for trial in trials))


def test_every_other_norm_comes_with_its_usual_radius() -> None:
    natural = ["corruptions", "shifts and rotations"]
    grey = ["", "l2 eps 2", "l1 eps 10", "l0, 10 pixels", *natural]
    colour = ["", "l2 eps 0.5", "l1 eps 12", "l0, 24 pixels", *natural]
    assert families("breadth", (1, 28, 28)) == grey
    assert families("breadth", (3, 32, 32)) == colour
    assert families("breadth:l2=1/2,l0=3", (1, 28, 28))[1:4:2] == ["l2 eps 0.5", "l0, 3 pixels"]
    in_l1 = breadth(ThreatModel("l1", 12), (3, 32, 32))
    assert {trial.family for trial in in_l1.values()} >= {"linf eps 0.03137", "l2 eps 0.5"}


def test_radii_grow_with_the_side_but_for_linf() -> None:
    assert usual_radii((1, 14, 14)) == {"linf": 0.3, "l2": 1.0, "l1": 5.0, "l0": 5.0}


def test_corruptions_are_met_alone_and_norms_by_survivors() -> None:
    trials = SUITES["breadth"](THREAT, (1, 8, 8))
    corrupted = [trial for trial in trials.values() if trial.family == "corruptions"]
    assert len(corrupted) == 5 * len(CORRUPTIONS)
    assert all(trial.alone for trial in corrupted)
    assert not any(trials[f"{norm} square"].alone for norm in ("linf", "l2", "l1"))
    assert trials["l0 pointwise"].attack.describe()["queries"] == 1000


def test_impossible_radii_are_refused() -> None:
    for text, message in {
        "breadth:l3=1": "norm 'l3'",
        "breadth:l2=much": "l2='much'",
        "breadth:l0=1.5": "whole numbers from 1",
        "quick:l2=1": "only breadth takes radii",
        "broadth": "did you mean 'breadth'",
    }.items():
        with pytest.raises(ValueError, match=message):
            find_suite(text)
    with pytest.raises(ValueError, match="linf is the threat's own norm"):
        find_suite("breadth:linf=0.1")(THREAT, (1, 8, 8))
    with pytest.raises(ValueError, match="bounds"):
        breadth(ThreatModel("linf", 0.1, bounds=(-1, 1)), (1, 8, 8))
    assert read_radii("l2=0.5, l0=10") == {"l2": 0.5, "l0": 10.0}


@pytest.fixture(scope="module")
def judged() -> Result:
    """Two classes by the mean of 16 pixels: 0.3 from the threshold, where linf reaches 0.1."""
    linear = nn.Linear(16, 2)
    weight = torch.stack([-torch.ones(16), torch.ones(16)]) / 16
    linear.load_state_dict({"weight": weight, "bias": torch.tensor([0.5, -0.5])})
    x = torch.cat([torch.full((2, 1, 4, 4), 0.2), torch.full((2, 1, 4, 4), 0.8)])
    data = (x, torch.tensor([0, 0, 1, 1]))
    suite = "breadth:l2=2,l1=1,l0=2"
    return evaluate(nn.Sequential(nn.Flatten(), linear), data, THREAT, suite)


def test_each_family_starts_from_all_images_and_says_what_it_leaves(judged: Result) -> None:
    """The mean moves by 0.1 in linf, by 2 / √16 in l2, by 1 / 16 in l1, by 2 · 0.8 / 16 in l0."""
    left = {family.name: family.worst_case for family in judged.families}
    assert list(left.values())[:4] == [1.0, 0.0, 1.0, 1.0]
    assert list(left)[:2] == ["linf eps 0.1, its own", "l2 eps 2"]
    assert judged.attacks["l1 apgd_ce"].examples == 4
    assert judged.robust == 0.0
    corruptions = judged.families[4]
    assert corruptions.mean == pytest.approx(
        sum(judged.attacks[name].accuracy for name in corruptions.attacks) / 60
    )
    assert corruptions.accuracy == corruptions.mean
    assert corruptions.worst_case <= corruptions.accuracy


def test_what_the_own_threat_does_not_cover_is_warned_of(judged: Result) -> None:
    finding = next(one for one in judged.warnings if one.name == "weaker outside its threat")
    assert (finding.figure, finding.level) == (1.0, "warning")
    assert finding.text.startswith("In l2 eps 2 0.00 % are left, in linf eps 0.1, its own 100.00 %")
    assert "black-box stronger than white-box" not in {one.name for one in judged.warnings}


def test_the_table_has_a_row_for_each_family_and_each_corruption(judged: Result) -> None:
    text = str(judged)
    rows = [line.replace("│", " ").split() for line in text.splitlines()]
    assert ["l2", "eps", "2", "0.00", "each", "example's", "worst", "case"] in rows
    assert any(row[:2] == ["gaussian_noise", "100.00"] for row in rows)
    assert any(row[:2] == ["worst", "family"] and row[-1] == "2" for row in rows)
    console = Console(width=100)
    with console.capture() as beside:
        console.print(side_by_side({"one": judged, "other": judged}))
    assert "l2 eps 2" in beside.get()
    assert "gaussian_noise" not in beside.get()
    told = judged.to_dict()["families"]
    assert [family["own"] for family in told] == [True] + [False] * 5
