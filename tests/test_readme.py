"""The examples of the README run as they are written."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from advprune.cli import main

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)
FILES = {
    title[1]: text
    for _, text in BLOCKS
    if (title := re.match(r"# (\S+\.(?:py|yaml))\n", text)) is not None
}
PYTHON = [text for language, text in BLOCKS if language == "python" and text not in FILES.values()]
COMMANDS = [text for language, text in BLOCKS if language == "bash"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader stands, with the files that the README has them write."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_are_found() -> None:
    assert (len(PYTHON), len(COMMANDS)) == (1, 2)
    assert set(FILES) == {"my_net.py", "mine.yaml"}


@pytest.mark.parametrize("code", PYTHON)
def test_python_runs_as_written(code: str, folder: Path) -> None:
    exec(compile(code, "README.md", "exec"), {})
    assert (folder / "model" / "manifest.json").is_file()


@pytest.mark.parametrize("commands", COMMANDS)
def test_commands_run_as_written(commands: str, folder: Path) -> None:
    for line in commands.replace("\\\n", "").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "advprune"
        result = CliRunner().invoke(main, arguments)  # a process each would load torch each time
        assert result.exit_code == 0, result.output
    (report,) = folder.glob("runs/*/report.html")
    assert report.stat().st_size > 0


def test_the_table_of_results_has_its_place() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.index("<!-- results:begin -->") < text.index("<!-- results:end -->")
