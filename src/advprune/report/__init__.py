"""The page of a run: one HTML file with its tables and pictures."""

from advprune.report.page import write
from advprune.report.run_files import NETWORKS

__all__ = ["NETWORKS", "write"]
