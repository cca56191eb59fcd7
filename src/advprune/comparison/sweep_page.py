"""A sweep's page: its front, which settings mattered, and the settings of the best trials."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from advprune.comparison import front
from advprune.files import write_text
from advprune.report.pictures import LINES, svg
from advprune.report.tables import plain
from advprune.shipping.extras import need


def write(study: Any, out: Path) -> Path:
    """Writes ``sweep.html`` into the study's folder.

    Args:
        study: An Optuna study of (robust accuracy, MACs).
        out: Its folder.

    Returns:
        The path of the page.
    """
    done = [trial for trial in study.get_trials(deepcopy=False) if trial.values]
    best = sorted(study.best_trials, key=lambda trial: trial.values[1]) if done else []
    points = {str(trial.number): (100 * trial.values[0], trial.values[1]) for trial in done}
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("sweep.html").render(
        name=study.study_name,
        trials=len(done),
        keys=sorted({key for trial in best for key in trial.params}),
        best=best,
        plain=plain,
        front=Markup(_front(points)),  # noqa: S704  the pictures escape their own text
        importances=Markup(_importances(study, [trial.values for trial in done])),  # noqa: S704
    )
    return write_text(out / "sweep.html", page)


def _front(points: Mapping[str, front.Point]) -> str:
    spreads = dict.fromkeys(points, (0.0, 0.0))
    return front.picture(points, spreads, "robust on validation, %") if points else ""


def _importances(study: Any, values: Sequence[Sequence[float]]) -> str:
    """How much of each objective's variance each setting explains (fANOVA), as bars.

    An objective that was the same in every trial has no variance to explain.
    """
    if len(values) < 4:  # too few for a forest to say anything
        return ""
    optuna = need("optuna")
    forest = optuna.importance.FanovaImportanceEvaluator(seed=0)
    both = {
        title: optuna.importance.get_param_importances(
            study, evaluator=forest, target=lambda trial, at=at: trial.values[at]
        )
        for at, title in enumerate(("robust accuracy", "MACs"))
        if len({value[at] for value in values}) > 1
    }
    return _bars(both) if both else ""


def _bars(both: Mapping[str, Mapping[str, float]]) -> str:
    keys = sorted(next(iter(both.values())), reverse=True)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for shift, (title, shares) in enumerate(both.items()):
            places = [place + 0.4 * shift for place in range(len(keys))]
            axes.barh(places, [shares[key] for key in keys], 0.36, label=title, color=LINES[shift])
        axes.set_yticks([place + 0.2 for place in range(len(keys))], keys)
        axes.set_xlabel("share of the variance that the setting explains")
        axes.legend()

    return svg(draw, "importance of the settings")
