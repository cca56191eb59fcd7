from pathlib import Path
from typing import Any

import pytest

RECIPE = """
name: {name}
data: {{name: digits, validation: 100}}
model: {{name: small_cnn, widths: [2, 2, {width}]}}
threat: {{eps: 0.05}}
training: {{threads: 1, phases: [{{name: train}}]}}
evaluation: {{examples: 20}}
"""


@pytest.fixture
def recipes_of(tmp_path: Path) -> Any:
    """Writes small recipes of the given names and returns their files."""

    def write(*names: str, width: int = 4) -> list[str]:
        for name in names:
            text = RECIPE.format(name=name, width=width)
            (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        return [str(tmp_path / f"{name}.yaml") for name in names]

    return write
