import pytest

from advprune.training.schedule import rate_factor, warmup
from advprune.training.settings import Phase


def test_a_constant_rate_stays() -> None:
    assert rate_factor(Phase(name="a"), 0.9) == 1


def test_steps_fall_at_their_milestones() -> None:
    phase = Phase(name="a", schedule="steps", milestones=(0.5, 0.7), decay=0.1)
    factors = [rate_factor(phase, progress) for progress in (0.49, 0.5, 0.7)]
    assert factors == pytest.approx([1, 0.1, 0.01])


def test_a_cosine_passes_a_half_in_the_middle() -> None:
    phase = Phase(name="a", schedule="cosine")
    assert [rate_factor(phase, p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])


def test_one_cycle_peaks_after_three_tenths_and_ends_at_nothing() -> None:
    phase = Phase(name="a", schedule="one_cycle")
    factors = [rate_factor(phase, p) for p in (0, 0.15, 0.3, 0.65, 1)]
    assert factors == pytest.approx([0.04, 0.52, 1, 0.5, 0])


def test_a_warmup_rises_linearly_and_then_stays() -> None:
    assert [warmup(2, elapsed) for elapsed in (0, 1, 2, 5)] == [0, 0.5, 1, 1]


def test_no_warmup_is_full_from_the_start() -> None:
    assert warmup(0, 0) == 1
