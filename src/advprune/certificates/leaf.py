"""A part of the region in which every ReLU's sign is held: a linear program."""

import numpy as np
import torch
from scipy.optimize import linprog  # type: ignore[import-untyped]
from torch import Tensor

from advprune.bounds import Network, Region, adaptive, lower_lines
from advprune.certificates.ascent import Domains


@torch.no_grad()
def settle_leaf(network: Network, region: Region, domain: Domains) -> tuple[float, Tensor | None]:
    """Returns the smallest value of the domain's row, and an image that has it.

    All relaxations are exact there, so lines give the row and every held input as A x + b.

    Args:
        network: the model.
        region: L∞, of one image.
        domain: one domain whose row is bounded.

    Returns:
        Infinity and None where the held signs contradict each other.
    """
    intervals = domain.known(network, region)
    goal = lower_lines(network, {network.output: domain.rows}, intervals, adaptive)
    limits, heights = [], []
    for step in network.relus:
        sign = domain.signs[step.name].flatten(1)[0]
        held = sign.nonzero().flatten()
        if not len(held):
            continue
        shape = domain.signs[step.name].shape[1:]
        rows = torch.zeros(len(held), shape.numel(), dtype=region.x.dtype)
        rows[torch.arange(len(held)), held] = sign[held].to(rows.dtype)
        lines = lower_lines(
            network, {step.inputs[0]: rows.view(1, len(held), *shape)}, intervals, adaptive
        )
        limits.append(-lines.coefficients.flatten(2)[0])
        heights.append(lines.offset[0])
    box = region.box()
    solved = linprog(
        goal.coefficients.flatten().numpy(),
        A_ub=torch.cat(limits).numpy() if limits else None,
        b_ub=torch.cat(heights).numpy() if heights else None,
        bounds=np.stack([box.lower.flatten().numpy(), box.upper.flatten().numpy()], axis=1),
        method="highs",
    )
    if solved.status == 2:  # infeasible
        return np.inf, None
    if solved.status != 0:
        return -np.inf, None
    return float(solved.fun) + float(goal.offset), torch.from_numpy(solved.x).view_as(region.x)
