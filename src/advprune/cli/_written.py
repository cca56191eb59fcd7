"""Written results of `advprune evaluate`: verified and compared, nothing is attacked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advprune.cli._networks import network_of


def verify_written(
    written: Path,
    models: tuple[str, ...],
    data: str | None,
    path: str | None,
    folder: Path | None,
    trust_code: bool,
) -> None:
    """Check a file of results; what is not given is as the file says.

    Raises:
        SystemExit: With status 1, if anything is not as the file says.
        ValueError: If the file holds no results, or of other models than are given.
    """
    from rich.console import Console

    import advprune as ap
    from advprune.evaluation.verify import read_results, verify

    results = read_results(written)
    names = models or tuple(results)
    if len(names) != len(results):
        raise ValueError(f"{written} is of {len(results)} models, {len(names)} are given")
    holds = True
    for name, result in zip(names, results.values(), strict=True):
        source = result.get("source", {})
        images = ap.data.load(
            data or source.get("data", ""), path=path or source.get("path"), validation=0
        ).test
        network = network_of(name, trust_code)
        kept = folder or _kept(written, result)
        verification = verify(result, network, images, kept)
        Console().print(f"{written}: {name}", verification)
        holds &= verification.holds
    if not holds:
        raise SystemExit(1)


def compare_written(first: Path, second: Path) -> None:
    """Compare two files of one model each, image by image.

    Raises:
        ValueError: If a file holds anything else.
    """
    from rich.console import Console

    from advprune.evaluation import paired
    from advprune.evaluation.verify import read_results

    (one, *more), (other, *others) = (read_results(path).values() for path in (first, second))
    if more or others:
        raise ValueError(f"{first} and {second}: allowed are files of one model each")
    Console().print(f"{first}, {second}: {paired(one, other)}")


def _kept(written: Path, result: Mapping[str, Any]) -> Path | None:
    """The folder that a result names, seen from where it was written or beside the result."""
    named = Path((result.get("images") or {}).get("folder", ""))
    return next((place for place in (named, written.parent / named) if place.is_dir()), None)
