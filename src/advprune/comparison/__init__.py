"""Comparing recipes: what runs there are, carrying them out, one table and its picture."""

from advprune.comparison.plan import PlannedRun, plan
from advprune.comparison.running import compare
from advprune.comparison.table import COLUMNS, Row, rows

__all__ = ["COLUMNS", "PlannedRun", "Row", "compare", "plan", "rows"]
