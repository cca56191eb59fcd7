"""Makes the benchmarks' scripts importable, as they are for one another when run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
