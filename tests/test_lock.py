"""The lock holds all that the project and its tests need."""

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_LOCKED = {"executorch", "timm"}  # extras that neither the project nor its tests need


def names(text: str) -> set[str]:
    return {name.lower().replace("_", "-") for name in re.findall(r"^[\w.-]+", text, re.MULTILINE)}


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    chosen = [listed for extra, listed in extras.items() if extra not in NOT_LOCKED]
    needed = chain(project["dependencies"], *chosen)
    locked = "\n".join(file.read_text() for file in ROOT.glob("requirements*.lock"))
    missing = names("\n".join(needed)) - names(locked) - {project["name"]}
    assert not missing
