"""Two results on the same images."""

from dataclasses import dataclass

from scipy.stats import binomtest  # type: ignore[import-untyped]

from advprune.evaluation.result import Result


@dataclass(frozen=True)
class Paired:
    """Which of two models stands where the other falls.

    Attributes:
        both: Images that both get right before and after all attacks.
        only_first: Images that only the first does.
        only_second: Images that only the second does.
        neither: The others.
        p_value: How likely a split as uneven as that of the images where they differ is by
            chance, were both models equally robust (McNemar, 1947; exact and two-sided).
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float


def paired(first: Result, second: Result) -> Paired:
    """Compare two evaluations image by image.

    Raises:
        ValueError: If they did not judge the same images.
    """
    if first.data_hash != second.data_hash:
        raise ValueError(
            f"the results judge different images ({first.data_hash[:12]} and "
            f"{second.data_hash[:12]}): use the same data, subset and seed"
        )
    one, other = first.survivors, second.survivors
    only_first, only_second = (int((a & ~b).sum()) for a, b in ((one, other), (other, one)))
    differing = only_first + only_second
    p_value = binomtest(only_first, differing).pvalue if differing else 1.0
    both = int((one & other).sum())
    return Paired(both, only_first, only_second, len(one) - both - differing, float(p_value))
