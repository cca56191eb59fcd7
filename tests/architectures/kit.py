"""All architectures of the kit: importing their modules registers them."""

from tests.architectures import attention, branches, library, mobile, plain, residual
from tests.architectures.entry import ARCHITECTURES, Architecture

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "attention",
    "branches",
    "library",
    "mobile",
    "plain",
    "residual",
]
