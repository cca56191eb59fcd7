import torch
from tests.recipes.test_run import RECIPE
from torch import nn

from advprune import recipes
from advprune.data import Images
from advprune.recipes import figures


def _always_first() -> nn.Module:
    """Says class 0, whatever it sees, though autograd can follow it."""
    layer = nn.Linear(64, 10)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(-torch.arange(10.0))
    return nn.Sequential(nn.Flatten(), layer)


def test_autoattack_meets_as_many_test_images_as_the_recipe_says() -> None:
    evaluation = RECIPE.evaluation.model_copy(update={"autoattack": 20})
    recipe = RECIPE.model_copy(update={"evaluation": evaluation})
    test: Images = recipes.run.load_data(recipe).test
    found = figures.autoattack(recipe, _always_first().eval(), test)["autoattack"]
    assert (found["suite"], found["examples"]) == ("standard", 20)
    assert found["robust"] == 0.1  # stratified: two of each of ten classes


def test_a_recipe_without_autoattack_has_no_such_figure() -> None:
    test = recipes.run.load_data(RECIPE).test
    assert figures.autoattack(RECIPE, _always_first(), test) == {}
