import json
import os
import subprocess
import sys
from pathlib import Path


def test_a_run_killed_five_times_ends_with_the_same_bits(tmp_path: Path) -> None:
    script = Path(__file__).parent / "lives.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={"OMP_NUM_THREADS": "1", "PATH": "", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
    )
    assert done.returncode == 0, done.stderr
    lives = json.loads(done.stdout.splitlines()[-1])
    assert lives["killed"] == lives["once"]
    assert len(lives["once"]["rows"]) == 1 + 6  # a heading, and an epoch a row
    assert lives["left"], "no kill fell into the writing of a checkpoint"
