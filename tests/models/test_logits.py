from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import advprune as ap
from advprune.certificates import certify_smoothed, check_complete
from advprune.data import Images
from advprune.models import Logits
from advprune.models.logits import answer_of, logits_of
from advprune.training.validation import Accuracy, measure

IMAGES = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
MEANS = IMAGES.mean((2, 3))
THREAT = ap.ThreatModel(eps=0.1)


@dataclass
class Record:
    logits: Tensor
    features: Tensor


class Pair(NamedTuple):
    logits: Tensor
    features: Tensor


class Brightness(nn.Module):
    """The mean of each channel as its logit, beside the images, in a record of some kind."""

    def __init__(self, record: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.record = record
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Any:
        return self.record(x.mean((2, 3)) * self.scale, x)


class ColourAndDepth(nn.Module):
    def forward(self, colour: Tensor, depth: Tensor) -> Tensor:
        return torch.cat([colour.mean((2, 3)), depth.amax((2, 3))], 1)


KINDS: Mapping[str, Callable[[Tensor, Tensor], Any]] = {
    "tuple(Tensor, Tensor)": lambda logits, x: (logits, x),
    "list(Tensor, Tensor)": lambda logits, x: [logits, x],
    "Pair(logits, features)": Pair,
    "Record(logits, features)": Record,
    "dict(logits, features)": lambda logits, x: {"logits": logits, "features": x},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_are_taken_from_a_record_of_any_kind(kind: str) -> None:
    assert torch.equal(Logits(Brightness(KINDS[kind]))(IMAGES), MEANS)


def test_another_output_is_taken_by_its_name_or_place() -> None:
    network = Brightness(lambda logits, _x: {"early": -logits, "late": logits})
    assert torch.equal(Logits(network, output="early")(IMAGES), -MEANS)
    assert torch.equal(Logits(network, output="late")(IMAGES), MEANS)
    assert torch.equal(Logits(Brightness(lambda a, x: (x, a)), output=1)(IMAGES), MEANS)


def test_an_output_that_is_not_there_is_told_with_those_that_are() -> None:
    network = Brightness(lambda logits, _x: {"early": -logits, "late": logits})
    with pytest.raises(ValueError, match=r"dict\(early, late\): no logits in it"):
        Logits(network)(IMAGES)
    with pytest.raises(ValueError, match=r"dict\(early, late\): no output 'last' in it"):
        Logits(network, output="last")(IMAGES)


def test_channels_of_one_image_are_several_inputs() -> None:
    network = Logits(ColourAndDepth(), channels=(2, 1))
    expected = torch.cat([MEANS[:, :2], IMAGES[:, 2:].amax((2, 3))], 1)
    assert torch.equal(network(IMAGES), expected)
    with pytest.raises(ValueError, match=r"have 1 channels; .* take 2 \+ 1"):
        network(IMAGES[:, :1])


def test_channels_that_are_no_inputs_are_refused_when_wrapping() -> None:
    with pytest.raises(ValueError, match=r"takes \(colour, depth\), not 3 inputs"):
        Logits(ColourAndDepth(), channels=(1, 1, 1))
    with pytest.raises(ValueError, match="channels"):
        Logits(ColourAndDepth(), channels=(3, 0))


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_is_no_tensor_is_told_with_its_fields_and_the_wrapper(kind: str) -> None:
    told = f"Brightness answers with {kind}, not one tensor of logits .*Logits(network)"
    with pytest.raises(ValueError, match=told.replace("(", r"\(").replace(")", r"\)")):
        logits_of(Brightness(KINDS[kind]), IMAGES)


def test_the_wrapper_is_to_be_told_the_output_where_it_cannot_know() -> None:
    network = Brightness(lambda logits, _x: {"early": -logits, "late": logits})
    with pytest.raises(ValueError, match=r"Logits\(network, output=\.\.\.\)"):
        logits_of(network, IMAGES)


def test_an_answer_needs_a_row_an_image_and_logits_two_dimensions() -> None:
    with pytest.raises(ValueError, match=r"answers \(3, 4, 4\) to 2 images"):
        answer_of(lambda x: x[0], IMAGES)
    with pytest.raises(ValueError, match=r"answers \(2, 3, 4, 4\) to 2 images"):
        logits_of(nn.Identity(), IMAGES)
    assert answer_of(nn.Identity(), IMAGES) is IMAGES


def test_what_a_model_itself_raises_stays_what_it_is() -> None:
    def broken(_x: Tensor) -> Tensor:
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        logits_of(broken, IMAGES)


LABELS = torch.tensor([0, 1])


def validated(model: nn.Module, x: Tensor) -> Accuracy:
    images, device = Images(x, LABELS, ("a", "b", "c"), "noise"), torch.device("cpu")
    return measure(model, images, THREAT, steps=1, batch_size=2, seed=0, device=device)


USES: Mapping[str, Callable[[nn.Module, Tensor], object]] = {
    "gate": ap.gate,
    "check": ap.check,
    "save": lambda model, x: ap.save(model, "model", input_shape=list(x.shape[1:])),
    "export": lambda model, x: ap.export(model, "model.pt2", x),
    "evaluate": lambda model, x: ap.evaluate(model, (x, LABELS), THREAT),
    "attack": lambda model, x: ap.attacks.PGD(THREAT, steps=1)(model, x, LABELS),
    "certify": lambda model, x: ap.certify(model, (x, LABELS), THREAT, "ibp", suite=None),
    "complete check": lambda model, x: check_complete(model, x[:1], LABELS[:1], THREAT),
    "smoothing": lambda model, x: certify_smoothed(model, x, 0.1, samples=10),
    "validation": lambda model, x: validated(model, x),
    "vulnerability": lambda model, x: ap.vulnerability(model, x, x),
}


@pytest.mark.parametrize("use", USES)
def test_every_use_says_what_the_model_is_not(
    use: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"Brightness answers with Record\(logits, features\)"):
        USES[use](Brightness(Record), IMAGES)
    with pytest.raises(ValueError, match=r"ColourAndDepth takes \(colour, depth\), not 1 input"):
        USES[use](ColourAndDepth(), IMAGES)


def test_a_cost_needs_one_input_and_asks_for_no_logits() -> None:
    with pytest.raises(ValueError, match=r"ColourAndDepth takes \(colour, depth\), not 1 input"):
        ap.cost(ColourAndDepth(), IMAGES)
    assert ap.cost(Brightness(Record), IMAGES).parameters == 1


@pytest.mark.parametrize("method", ["ibp", "complete", "smoothing"])
def test_what_answers_with_records_is_certified_once_it_is_wrapped(method: str) -> None:
    wrapped = Logits(Brightness(Record))
    options = {"smoothing": {"sigma": 0.01, "samples": 100}} if method == "smoothing" else {}
    threat = ap.ThreatModel("l2" if method == "smoothing" else "linf", 1e-4)
    found = ap.certify(
        wrapped, (IMAGES, MEANS.argmax(1)), threat, method, suite=None, options=options
    )
    assert found.clean == found.methods[method].certified == 1
