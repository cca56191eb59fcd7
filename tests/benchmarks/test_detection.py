import detection
import known_defences
import pytest

from advprune.data import load
from advprune.threat import ThreatModel


def test_a_detector_never_sees_more_of_an_attack_that_knows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_defences, "EPOCHS", 1)
    monkeypatch.setattr(detection, "STEPS", 5)
    threat = ThreatModel("linf", 0.1)
    x, y = (part[:60] for part in load("digits", validation=0).train.tensors())
    model = known_defences.build("undefended", x, y, 0, threat).model
    found = detection.detection(model, detection.squeezing, x, (x[:8], y[:8]), threat)
    for share, unseen in found["blind"]["fooled_unseen"].items():
        assert found["knowing"]["fooled_unseen"][share] >= unseen
    assert found["knowing"]["fooled"] >= found["blind"]["fooled"]
    assert detection.detectors({"squeezing": found}).count("\n") == 3
