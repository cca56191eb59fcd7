"""Two results on the same images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest  # type: ignore[import-untyped]
from torch import Tensor

from advprune.evaluation.result import Result

Written = Mapping[str, Any]
"""What `Result.to_dict` gives, and `read_results` out of a file."""


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

    def __str__(self) -> str:
        return (
            f"{self.both} images stand in both, {self.only_first} in the first alone, "
            f"{self.only_second} in the second alone, {self.neither} in neither; so uneven by "
            f"chance with p = {self.p_value:.2g} (McNemar)"
        )


def paired(first: Result | Written, second: Result | Written) -> Paired:
    """Compare two evaluations image by image, each as it is or as it was written.

    Raises:
        ValueError: If they did not judge the same images, or do not say which survived.
    """
    (one, images), (other, others) = _survivors(first), _survivors(second)
    if images != others:
        raise ValueError(
            f"the results judge different images ({images[:12]} and {others[:12]}): "
            "use the same data, subset and seed"
        )
    only_first, only_second = (int((a & ~b).sum()) for a, b in ((one, other), (other, one)))
    differing = only_first + only_second
    p_value = binomtest(only_first, differing).pvalue if differing else 1.0
    both = int((one & other).sum())
    return Paired(both, only_first, only_second, len(one) - both - differing, float(p_value))


def stated_survivors(result: Written) -> Tensor:
    """Which examples survive as a written result says, (examples,) bool; see `Result.to_dict`."""
    packed = np.frombuffer(bytes.fromhex(result["survivors"]), dtype=np.uint8)
    return torch.from_numpy(np.unpackbits(packed)[: result["examples"]].astype(bool))


def _survivors(result: Result | Written) -> tuple[Tensor, str]:
    """Which examples survive, (examples,) bool, and the hash of all of them."""
    if isinstance(result, Result):
        return result.survivors, result.data_hash
    if lacking := sorted({"survivors", "examples", "data_hash"} - result.keys()):
        raise ValueError(
            f"the result lacks {', '.join(lacking)}: allowed is that of one evaluation"
        )
    return stated_survivors(result), result["data_hash"]
