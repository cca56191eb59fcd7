"""Where a benchmark's figures were made."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from advprune.evaluation import environment


def machine(*packages: str) -> dict[str, Any]:
    """The environment, the processor's wide instructions, and the versions of other packages."""
    return {
        **environment(),
        "avx512": _has("avx512f"),
        "amx": _has("amx_tile"),
        "packages": {name: version(name) for name in packages},
    }


def short(model: str) -> str:
    """What a result calls a saved model: the end of its path, so that no folder is given away."""
    return "/".join(Path(model).parts[-2:])


def _has(flag: str) -> bool | None:
    """Whether the processor lists that flag; None where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    flags = [line.partition(":")[2].split() for line in lines if line.startswith("flags")]
    return flag in flags[0] if flags else None
