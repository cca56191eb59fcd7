"""Makes the kit importable by its full name, as the benchmarks do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
