import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from advprune import models, shipping, training
from advprune.pruning.deep_compression import decompress
from advprune.recipes import Recipe, figures
from advprune.recipes.run import COMPRESSED, _built, run_recipe

RECIPE = Recipe.model_validate(
    {
        "name": "tiny",
        "data": {"name": "digits", "validation": 100},
        "model": {"name": "small_cnn", "widths": [4, 6, 8]},
        "threat": {"eps": 0.05},
        "gates": {"family": "beta_bernoulli"},
        "training": {
            "batch_size": 256,
            "threads": 1,
            "validation_examples": 50,
            "validation_attack_steps": 2,
            "phases": [
                {"name": "pretrain", "epochs": 2, "learning_rate": 0.01},
                {
                    "name": "prune",
                    "on": "gated",
                    "objective": "anp",
                    "attack": {"steps": 1},
                    "budget": {"macs": 0.5},
                },
                {
                    "name": "finetune",
                    "on": "slim",
                    "objective": "adversarial",
                    "attack": {"steps": 1},
                },
            ],
        },
        "evaluation": {"suite": "quick", "examples": 40, "curve": [0, 0.5]},
    }
)


def _run(out: Path, recipe: Recipe = RECIPE, *, resume: bool = False) -> str:
    text = io.StringIO()
    run_recipe(recipe, out, resume=resume, console=Console(file=text, width=100))
    return text.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("runs") / "tiny"
    return out, _run(out)


@pytest.fixture(scope="module")
def result(finished: tuple[Path, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((finished[0] / "result.json").read_text())
    return found


def test_the_folder_holds_all_that_a_run_leaves(finished: tuple[Path, str]) -> None:
    names = {path.name for path in finished[0].iterdir()}
    assert names >= {"recipe.yaml", "metrics.csv", "checkpoints", "model", "result.json"}
    assert "report.html" in names


def test_the_terminal_ends_with_the_table_and_the_report(finished: tuple[Path, str]) -> None:
    out, text = finished
    for row in ("clean accuracy", "robust accuracy", "vulnerability", "MACs", "ms, 1 image"):
        assert row in text
    for stage in ("before slimming", "after slimming", "best checkpoint", "gap"):
        assert stage in text
    assert text.strip().endswith(f"Report: {out / 'report.html'}")


def test_the_slim_network_is_smaller_and_within_its_budget(result: dict[str, Any]) -> None:
    before, after = result["before"]["cost"], result["after"]["cost"]
    assert after["macs"] <= 0.5 * before["macs"]
    assert after["parameters"] < before["parameters"]
    kept = result["after"]["widths"]
    assert {name: total for name, (_, total) in kept.items()} == {"conv1": 4, "conv2": 6, "f1": 8}
    assert sum(units for units, _ in kept.values()) < 18


def test_the_logged_size_is_the_measured_one(
    finished: tuple[Path, str], result: dict[str, Any]
) -> None:
    with (finished[0] / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert int(last["macs"]) == result["after"]["cost"]["macs"]


def test_figures_are_shares_and_a_curve_begins_at_the_clean_accuracy(
    result: dict[str, Any],
) -> None:
    for key in ("before", "after"):
        figures_ = result[key]
        assert 0 <= figures_["robust"] <= figures_["clean"] <= 1
        assert figures_["curve"][0] == [0, figures_["clean"]]
        assert set(figures_["vulnerability"]["layers"]) == {"conv1", "conv2", "f1"}


def test_the_saved_model_is_the_one_that_was_judged(
    finished: tuple[Path, str], result: dict[str, Any]
) -> None:
    model = shipping.load(finished[0] / "model")
    assert sum(p.numel() for p in model.parameters()) == result["after"]["cost"]["parameters"]


def test_resuming_a_finished_run_does_nothing_twice(
    finished: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: object) -> None:
        raise AssertionError("was computed again")

    monkeypatch.setattr(training.step, "take", again)
    monkeypatch.setattr(figures, "cost", again)
    monkeypatch.setattr(figures, "evaluate", again)
    assert "robust accuracy" in _run(finished[0], resume=True)


def test_a_run_is_not_begun_over_another(finished: tuple[Path, str]) -> None:
    with pytest.raises(ValueError, match="holds a run already"):
        _run(finished[0])


def test_a_run_is_resumed_with_its_own_recipe_only(finished: tuple[Path, str]) -> None:
    other = RECIPE.model_copy(update={"description": "another"})
    with pytest.raises(ValueError, match="not the given recipe"):
        _run(finished[0], other, resume=True)


@pytest.mark.parametrize(
    ("evaluation", "complaint"),
    [
        ({"examples": 361}, r"evaluation.examples = 361: digits test has 360 images"),
        ({"autoattack": 361}, r"evaluation.autoattack = 361: .* 1 to 360, or null for none"),
        ({"sources": ["zoo:missing"]}, r"evaluation.sources: 'zoo:missing' is unknown"),
        ({"sources": ["nowhere"]}, r"evaluation.sources: nowhere is no folder"),
    ],
)
def test_an_impossible_evaluation_is_refused_before_training(
    evaluation: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    recipe = Recipe.model_validate(RECIPE.model_dump() | {"evaluation": evaluation})
    with pytest.raises(ValueError, match=complaint):
        _run(tmp_path / "run", recipe)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"data": {"name": "mnist", "path": "nowhere"}}, r"data\.path = 'nowhere': No folder"),
        ({"data": {"name": "digits", "validation": 1437}}, "data: validation must be"),
        ({"model": {"name": "small_cnn", "widths": [4]}}, "model: widths must hold 3 values"),
        ({"model": {"name": "resnet18", "width": 0.1}}, "the model takes no images of shape"),
    ],
)
def test_what_is_refused_before_training_leaves_the_folder_free(
    changed: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    recipe = Recipe.model_validate({**RECIPE.resolved(), **changed})
    for _ in range(2):  # the second time it holds no run either
        with pytest.raises(ValueError, match=complaint):
            _run(tmp_path / "run", recipe)


def test_a_recipe_file_without_newer_keys_is_still_the_runs_own(
    finished: tuple[Path, str],
) -> None:
    path = finished[0] / "recipe.yaml"
    text = path.read_text()
    path.write_text(text.replace("description: ''\n", ""))
    assert path.read_text() != text
    assert "Report" in _run(finished[0], resume=True)
    assert path.read_text() == text


def test_what_is_done_is_kept_when_a_later_stage_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    plain = RECIPE.model_dump()
    plain["training"]["phases"] = plain["training"]["phases"][:1]
    plain["gates"] = None
    recipe = Recipe.model_validate(plain)
    with monkeypatch.context() as patched:
        patched.setattr(figures, "vulnerability_over", fail)
        with pytest.raises(OSError, match="no space"):
            _run(tmp_path / "run", recipe)
    assert (tmp_path / "run" / "stages" / "after-accuracies.json").is_file()
    monkeypatch.setattr(training.step, "take", fail)
    monkeypatch.setattr(figures, "evaluate", fail)
    text = _run(tmp_path / "run", recipe, resume=True)
    assert "after slimming" not in text
    assert "before" not in json.loads((tmp_path / "run" / "result.json").read_text())


def test_a_run_may_start_from_saved_weights_of_its_shape(tmp_path: Path) -> None:
    saved = models.build("small_cnn", widths=[4, 6, 8])
    shipping.save(saved, tmp_path / "saved")
    model = {**RECIPE.model.model_dump(), "start_from": str(tmp_path / "saved")}
    recipe = Recipe.model_validate({**RECIPE.resolved(), "model": model})
    begun = _built(recipe).state_dict()
    assert all(torch.equal(value, begun[name]) for name, value in saved.state_dict().items())
    wider = Recipe.model_validate({**recipe.resolved(), "model": {**model, "widths": [4, 6, 9]}})
    with pytest.raises(ValueError, match=r"(?s)model\.start_from = .*size mismatch"):
        _built(wider)


def test_a_compressed_network_is_judged_as_its_file_has_it(tmp_path: Path) -> None:
    told = RECIPE.model_dump(mode="json", exclude={"gates"})
    told["training"]["phases"] = [{"name": "prune", "sparsity": {"share": 0.9}}]
    told |= {"compress": True, "evaluation": {"examples": 20}}
    _run(tmp_path, Recipe.model_validate(told))
    result = json.loads((tmp_path / "result.json").read_text())
    path = tmp_path / COMPRESSED
    assert result["after"]["cost"]["bytes"] == path.stat().st_size
    model, state = shipping.load(tmp_path / "model"), decompress(path)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert len(set(model.get_parameter("f1.weight").flatten().tolist())) <= 33  # 32 values and 0
