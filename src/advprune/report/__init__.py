"""The page of a run: one HTML file with its tables and pictures."""

from advprune.report.page import write

__all__ = ["write"]
