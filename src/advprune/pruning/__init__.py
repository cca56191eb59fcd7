"""Slimming: the closed units are really gone."""

from advprune.pruning.slim import SlimError, slim

__all__ = ["SlimError", "slim"]
