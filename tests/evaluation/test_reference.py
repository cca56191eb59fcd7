import pytest

from advprune.evaluation import reference


def test_the_whole_lenet_costs_what_the_reference_code_says() -> None:
    whole = reference.lenet()
    assert whole.flops == 4_615_940
    assert whole.memory == whole.memory_as_published == 477_410


@pytest.mark.parametrize(
    ("classes", "flops", "as_published", "memory"),
    [(10, 627_329_546, 19_881_538, 16_655_818), (100, 627_421_796, 20_481_748, 16_701_988)],
)
def test_the_whole_vgg_costs_what_the_reference_code_says(
    classes: int, flops: int, as_published: int, memory: int
) -> None:
    whole = reference.vgg(classes=classes)
    assert whole.flops == flops
    assert whole.memory_as_published == as_published
    assert whole.memory == memory


def test_the_published_lenet_widths_give_the_published_row() -> None:
    whole, slim = reference.lenet(), reference.lenet((4, 23, 120, 71))
    assert whole.flops / slim.flops == pytest.approx(10.57, abs=0.03)
    assert slim.memory / whole.memory == pytest.approx(0.0681, abs=0.0001)


def test_a_pruned_vgg_keeps_the_slip_of_the_published_memory() -> None:
    widths = (64, 64, 128, 126, 251, 174, 41, 87, 81, 13, 118, 110, 25, 25, 69)
    whole, slim = reference.vgg(), reference.vgg(widths)
    assert whole.flops / slim.flops == pytest.approx(2.16, abs=0.01)
    assert slim.memory / whole.memory == pytest.approx(0.161, abs=0.001)
    assert slim.memory_as_published / whole.memory_as_published == pytest.approx(0.136, abs=0.001)


@pytest.mark.parametrize("widths", [(20, 50, 800), (21, 50, 800, 500), (0, 50, 800, 500)])
def test_impossible_widths_are_refused(widths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="widths"):
        reference.lenet(widths)
