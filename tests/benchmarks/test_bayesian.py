import json
from pathlib import Path

import bayesian
import torch
from click.testing import CliRunner

from advprune import models, recipes
from advprune.gates import gate, remove, shape_state
from advprune.training import checkpoint


def test_rolled_images_have_the_same_pixels_at_other_places() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4)
    rolled = bayesian.foreign_images(image, 0)["rolled"]
    assert rolled[0, 0].tolist()[0] == [10, 11, 8, 9]
    assert torch.equal(rolled.flatten().sort().values, image.flatten())


def test_a_run_that_kept_its_gated_network_is_judged(tmp_path: Path) -> None:
    recipe = recipes.load("digits")
    gated = gate(models.build("small_cnn"), torch.rand(2, 1, 8, 8))
    gated.gates["conv1"].close(torch.arange(gated.gates["conv1"].units) < 28)
    remove(gated, gated.keep())
    tensors = {f"model.{name}": value for name, value in gated.state_dict().items()}
    run = tmp_path / "run"
    checkpoint.write(run / "checkpoints" / "gated", tensors, {"shape": shape_state(gated)})
    (run / "recipe.yaml").write_text(recipes.dump(recipe))
    few = ["--images", "12", "--samples", "2", "--attack-samples", "2", "--steps", "2"]
    found = CliRunner().invoke(
        bayesian.main, [str(run), "--out", str(tmp_path / "out.json"), *few], catch_exceptions=False
    )
    assert found.output.count("\n") == 8  # two networks, three kinds of images
    report = json.loads((tmp_path / "out.json").read_text())
    assert (report["run"], report["images"]["number"]) == (f"{tmp_path.name}/run", 12)
    assert report["attacks"]["posterior"]["samples"] == 2
    assert set(report["foreign"]["noise"]["posterior"]) == {"clean", "attacked", "transferred"}
