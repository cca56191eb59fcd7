import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import advprune as ap
from advprune import recipes
from advprune.cli import main
from advprune.recipes import run as running


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = ap.models.build("small_cnn", widths=[2, 2, 4])
    return ap.save(model, tmp_path / "model", input_shape=[1, 8, 8])


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys\nfrom advprune.cli import main\n"
        "try: main(['--help'])\nfinally: print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "Commands:" in shown
    assert shown.splitlines()[-1] == "False"


def test_the_version_is_that_of_the_package() -> None:
    assert call("--version").output == f"advprune {ap.__version__}\n"


def test_every_command_says_in_a_line_what_it_is_for() -> None:
    assert {"run", "evaluate", "report"} <= set(main.commands)
    told = [command.get_short_help_str(66) for command in main.commands.values()]
    assert all(line.endswith(".") and not line.endswith("...") for line in told)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "digit"], "Error: Unknown recipe 'digit' (did you mean 'digits'?)"),
        (["run", "digits", "--set", "sed=1"], "sed: unknown key (did you mean 'seed'?)"),
        (["report", "nowhere"], "Error: nowhere"),
        (["evaluate", "nowhere", "--data", "digits", "--eps", "0.1"], "Error: nowhere"),
        (["evaluate", "nowhere", "--data", "digits"], "Error: nowhere"),
    ],
)
def test_a_mistake_is_told_in_words_with_exit_code_2(arguments: list[str], complaint: str) -> None:
    result = call(*arguments)
    assert complaint in result.output
    assert "Traceback" not in result.output
    assert result.exit_code == 2


def test_debug_shows_where_a_mistake_came_up() -> None:
    assert isinstance(call("--debug", "run", "digit").exception, ValueError)


def test_a_saved_model_is_attacked_and_the_result_written(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    result = call(
        "evaluate", saved, "--data", "digits", "--eps", "0.1", "--subset", 20, "--source", saved,
        "--curve", "0,1/2,1", "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    assert written["curve"][0] == [0, written["clean"]]
    assert [eps for eps, _ in written["curve"]] == [0, 0.5, 1]
    assert written["examples"] == 20
    assert any(str(saved) in attack for attack in written["attacks"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "linf eps 0.1,"),
        (["--eps", "0.2"], "linf eps 0.2,"),
        (["--norm", "l2", "--eps", "1/2"], "l2 eps 0.5,"),
    ],
)
def test_a_threat_that_is_not_given_is_the_models_own(
    options: list[str], told: str, tmp_path: Path
) -> None:
    model = ap.models.build("small_cnn", widths=[2, 2, 4])
    saved = ap.save(model, tmp_path / "model", threat={"norm": "linf", "eps": 0.1})
    result = call("evaluate", saved, "--data", "digits", "--subset", 5, *options)
    assert told in result.output


@pytest.mark.parametrize("options", [[], ["--norm", "l2"]])
def test_a_radius_that_the_model_does_not_know_must_be_given(
    options: list[str], saved: Path
) -> None:
    result = call("evaluate", saved, "--data", "digits", *options)
    assert "give --eps" in result.output
    assert result.exit_code == 2


def test_an_impossible_radius_is_told(saved: Path) -> None:
    assert "Error: eps='much'" in call("evaluate", saved, "--data", "x", "--eps", "much").output


def test_code_of_ones_own_runs_only_when_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from torch import nn\ndef net(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))"
    (tmp_path / "net_of_ones_own.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    ap.save(ap.models.build("net_of_ones_own:net"), "model")
    command = ["evaluate", "model", "--data", "digits", "--eps", "0.1", "--subset", "5"]
    assert "--trust-code" in call(*command).output
    trusted = call(*command, "--source", "model", "--trust-code")
    assert "transfer:model" in trusted.output


def test_run_takes_the_recipe_with_its_changes_to_a_new_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[recipes.Recipe, Path, bool]] = []

    def run_recipe(recipe: recipes.Recipe, out: Path, *, resume: bool) -> None:
        seen.append((recipe, out, resume))

    monkeypatch.setattr(running, "run_recipe", run_recipe)
    assert call("run", "digits", "--set", "seed=3", "--set", "threat.eps=8/255").exit_code == 0
    ((recipe, out, resume),) = seen
    assert recipe == recipes.load("digits", ["seed=3", "threat.eps=8/255"])
    assert out.parent == Path("runs")
    assert out.name.startswith("digits-")
    assert not resume


def test_resume_continues_the_latest_run_of_the_recipe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("digits-20260101-120000", "digits-20260102-120000", "digits-other"):
        Path("runs", name).mkdir(parents=True)
    seen: list[Path] = []
    monkeypatch.setattr(running, "run_recipe", lambda recipe, out, *, resume: seen.append(out))
    assert call("run", "digits", "--resume").exit_code == 0
    assert seen == [Path("runs/digits-20260102-120000")]


def test_resume_without_a_run_is_a_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("run", "digits", "--resume")
    assert "no run of digits" in result.output
    assert result.exit_code == 2


def test_an_interrupted_run_says_how_to_continue(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(recipe: recipes.Recipe, out: Path, *, resume: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run_recipe", interrupted)
    result = call("run", "digits", "--out", tmp_path)
    assert f"advprune run {tmp_path}/recipe.yaml --out {tmp_path} --resume" in result.output
    assert result.exit_code == 130
