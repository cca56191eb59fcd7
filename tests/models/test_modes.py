import pytest
from torch import nn

from advprune.models import evaluating


def half_frozen() -> nn.Sequential:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Sequential(nn.Dropout(), nn.ReLU()))
    model.train()
    model[0].eval()
    return model


def test_all_modules_are_in_evaluation_mode_inside() -> None:
    with evaluating(half_frozen()) as model:
        assert not any(module.training for module in model.modules())


def test_each_module_gets_its_own_mode_back() -> None:
    model = half_frozen()
    with evaluating(model):
        pass
    assert [module.training for module in model.modules()] == [True, False, True, True, True]


def test_modes_come_back_after_an_exception() -> None:
    model = half_frozen()
    with pytest.raises(RuntimeError), evaluating(model):
        raise RuntimeError
    assert [module.training for module in model.modules()] == [True, False, True, True, True]
