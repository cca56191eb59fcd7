"""Models that come with the package."""

from pathlib import Path

import advprune

ZOO = Path(advprune.__path__[0]) / "zoo"
PREFIX = "zoo:"


def names() -> list[str]:
    """Names of the models that come with the package, sorted."""
    return sorted(path.name for path in ZOO.iterdir() if path.is_dir()) if ZOO.is_dir() else []


def locate(source: str | Path) -> Path:
    """The folder of a saved model, by its path or by "zoo:NAME".

    Raises:
        ValueError: If there is no such folder or no such name.
    """
    if isinstance(source, str) and source.startswith(PREFIX):
        name = source.removeprefix(PREFIX)
        if name not in names():
            raise ValueError(f"{source!r} is unknown; there are: {', '.join(names()) or 'none'}")
        return ZOO / name
    if not Path(source).is_dir():
        raise ValueError(f"{source} is no folder; give one that save wrote, or 'zoo:NAME'")
    return Path(source)
