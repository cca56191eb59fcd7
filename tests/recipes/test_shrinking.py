import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

import advprune as ap
from advprune import data
from advprune.cli import main
from advprune.evaluation import cost
from advprune.models import build
from advprune.pruning import SCORES
from advprune.recipes.shrinking import TUNING, shrink
from advprune.shipping import load, read_manifest
from advprune.threat import ThreatModel
from advprune.training import step

THREAT = ThreatModel(eps=0.05)
TUNED = TUNING.model_copy(update={"epochs": 1})


class Mine(nn.Module):
    """A class that advprune does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8)
        self.out = nn.Linear(72, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.norm(self.conv(x))), 2)
        logits: Tensor = self.out(x.flatten(1))
        return logits


@pytest.fixture(scope="module")
def splits() -> data.Splits:
    whole = data.load("digits", validation=64)
    return data.Splits(whole.train.subset(range(256)), whole.validation, whole.test)


@pytest.fixture(scope="module")
def shrunk(
    splits: data.Splits, tmp_path_factory: pytest.TempPathFactory
) -> tuple[nn.Module, nn.Module, Path, str]:
    """The network, the small one, the run's folder and what was shown."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Mine()
    out, text = tmp_path_factory.mktemp("runs") / "small", io.StringIO()
    console = Console(file=text, width=100)
    small = shrink(
        model, splits, THREAT, "macs=0.4", out=out, tuning=TUNED, examples=20, console=console
    )
    return model, small, out, text.getvalue()


def test_the_network_is_within_its_budget_and_ships(
    shrunk: tuple[nn.Module, nn.Module, Path, str], splits: data.Splits
) -> None:
    model, small, out, _ = shrunk
    images = splits.test.tensors()[0][:8]
    assert 0.2 < cost(small, images).macs / cost(model, images).macs <= 0.4
    torch.testing.assert_close(load(out / "model")(images), small(images))
    kept = read_manifest(out / "model").kept["conv"]
    assert len(kept) == small.get_submodule("conv").out_channels


def test_the_weights_were_tuned_and_the_given_network_is_as_it_was(
    shrunk: tuple[nn.Module, nn.Module, Path, str],
) -> None:
    model, small, out, _ = shrunk
    kept = read_manifest(out / "model").kept["conv"]
    own = model.get_parameter("conv.weight")
    assert own.shape[0] == 8
    assert not torch.equal(small.get_parameter("conv.weight"), own[kept])


def test_both_networks_are_judged_and_reported(
    shrunk: tuple[nn.Module, nn.Module, Path, str],
) -> None:
    _, _, out, text = shrunk
    result = json.loads((out / "result.json").read_text())
    assert result["dense"]["cost"]["macs"] > 2 * result["after"]["cost"]["macs"]
    assert {"clean", "robust", "latency"} <= result["dense"].keys()
    assert "transfer:dense" in result["after"]["attacks"]
    assert "transfer:dense" not in result["dense"]["attacks"]
    assert result["shrink"]["budget"] == "macs=0.4"
    assert "dense" in (out / "report.html").read_text()
    assert "robust accuracy" in text


def test_a_folder_that_holds_a_run_and_a_budget_out_of_reach_are_refused(
    shrunk: tuple[nn.Module, nn.Module, Path, str], splits: data.Splits, tmp_path: Path
) -> None:
    model, _, out, _ = shrunk
    with pytest.raises(ValueError, match="holds a run already"):
        shrink(model, splits, THREAT, "macs=0.4", out=out)
    with pytest.raises(ValueError, match=r"a budget of .* MACs"):
        shrink(model, splits, THREAT, "macs=0.001", out=tmp_path / "none")
    with pytest.raises(ValueError, match=r"Unknown score 'size'.*worth, clean_worth"):
        shrink(model, splits, THREAT, "macs=0.4", out=tmp_path / "none", score="size")
    assert not (tmp_path / "none").exists()


def test_a_run_stopped_by_ctrl_c_in_its_training_ends_with_the_same_bits(
    shrunk: tuple[nn.Module, nn.Module, Path, str],
    splits: data.Splits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, expected, _, _ = shrunk
    out, console = tmp_path / "small", Console(file=io.StringIO())

    def again(budget: str = "macs=0.4", **settings: Any) -> nn.Module:
        settings = {"tuning": TUNED, "examples": 20, **settings}
        return shrink(model, splits, THREAT, budget, out=out, console=console, **settings)

    def interrupted(*args: Any) -> None:
        take(*args)
        signal.raise_signal(signal.SIGINT)

    take = step.take
    with monkeypatch.context() as patched:
        patched.setattr(step, "take", interrupted)
        with pytest.raises(KeyboardInterrupt, match="after step 1"):
            again()
    with pytest.raises(ValueError, match="holds a run with another limit, score"):
        again("macs=0.5", score="magnitude", resume=True)
    with pytest.raises(ValueError, match="holds a run with another suite"):
        again(suite="strong", resume=True)
    monkeypatch.setitem(SCORES, "worth", pytest.fail)  # nothing is ranked again
    small = again(resume=True)
    assert small.slimmed["kept"] == expected.slimmed["kept"]  # type: ignore[index]
    for name, tensor in expected.state_dict().items():
        assert torch.equal(small.state_dict()[name], tensor), name


def test_the_command_reads_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        ap, "shrink", lambda *args, **settings: given.update(settings, args=args), raising=False
    )
    monkeypatch.chdir(tmp_path)
    Path("own_nets.py").write_text(
        "from advprune.models import build\n\ndef net():\n"
        "    return build('small_cnn', widths=[4, 4, 8])\n"
    )
    model = build("small_cnn", widths=[4, 4, 8])
    safetensors.torch.save_file(model.state_dict(), "mine.safetensors")
    arguments = ["shrink", "mine.safetensors", "--data", "digits", "--budget", "latency=2ms"]
    arguments += ["--score", "vulnerability"]
    arguments += ["--eps", "8/255", "--epochs", "2", "--model", "own_nets:net", "--out", "small"]
    refused = CliRunner().invoke(main, arguments)
    assert (refused.exit_code, given) == (2, {})
    assert "--trust-code" in refused.output
    done = CliRunner().invoke(main, [*arguments, "--trust-code"])
    assert done.exit_code == 0, done.output
    network, splits, threat, budget = given["args"]
    assert torch.equal(network.get_parameter("conv1.weight"), model.get_parameter("conv1.weight"))
    assert (len(splits.test), threat.eps, budget) == (360, 8 / 255, "latency=2ms")
    assert given["score"] == "vulnerability"
    assert (given["tuning"].epochs, given["out"]) == (2, Path("small"))
