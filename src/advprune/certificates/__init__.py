"""Certificates: lower bounds on what any attack leaves of a model's accuracy."""

from advprune.certificates.certify import METHODS, certify
from advprune.certificates.complete import Answer, check_complete
from advprune.certificates.result import Certificates, MethodFigure
from advprune.certificates.smoothing import (
    ABSTAINED,
    Smoothed,
    certify_smoothed,
    predict_smoothed,
)
from advprune.certificates.verdict import Verdict

__all__ = [
    "ABSTAINED",
    "METHODS",
    "Answer",
    "Certificates",
    "MethodFigure",
    "Smoothed",
    "Verdict",
    "certify",
    "certify_smoothed",
    "check_complete",
    "predict_smoothed",
]
