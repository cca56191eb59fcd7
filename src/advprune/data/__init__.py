"""Where images come from: data sets by name, checked before any training, and their batches."""

from advprune.data.batching import AUGMENTS, Augment, Data, batches, crop, crop_flip, iterate
from advprune.data.images import Images, Splits
from advprune.data.loading import SOURCES, load

__all__ = [
    "AUGMENTS",
    "SOURCES",
    "Augment",
    "Data",
    "Images",
    "Splits",
    "batches",
    "crop",
    "crop_flip",
    "iterate",
    "load",
]
