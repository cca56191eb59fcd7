"""Defences of others, most known to fall: for tests, teaching and the calibration of checks.

They are no methods of this project. Each is a layer or a function by its paper's formula; what
attacks make of it is measured by `benchmarks/defences.py`.
"""

from advprune.defences.activation_pruning import ActivationPruning
from advprune.defences.deep_mask import DeepMask, steady_units
from advprune.defences.detection import roc_area, squeezing_score
from advprune.defences.distillation import Temperature, soft_cross_entropy
from advprune.defences.logits import LogitNoise, squeezed_cross_entropy
from advprune.defences.purification import PixelCNN, PixelDefend
from advprune.defences.randomisation import ResizeAndPad
from advprune.defences.spectral import SpectralFeatures, stability
from advprune.defences.squeezing import BitDepth, Median, NonLocalMeans
from advprune.defences.synthesis import Synthesis
from advprune.defences.thermometer import Thermometer

__all__ = [
    "ActivationPruning",
    "BitDepth",
    "DeepMask",
    "LogitNoise",
    "Median",
    "NonLocalMeans",
    "PixelCNN",
    "PixelDefend",
    "ResizeAndPad",
    "SpectralFeatures",
    "Synthesis",
    "Temperature",
    "Thermometer",
    "roc_area",
    "soft_cross_entropy",
    "squeezed_cross_entropy",
    "squeezing_score",
    "stability",
    "steady_units",
]
