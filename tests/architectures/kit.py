"""All architectures of the kit: importing their modules registers them."""

from tests.architectures import attention, beyond, branches, library, mobile, plain, residual
from tests.architectures.entry import ARCHITECTURES, Architecture

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "attention",
    "beyond",
    "branches",
    "library",
    "mobile",
    "plain",
    "residual",
]
