"""Where the examples of a batch lie in a value: along its first dimension, or elsewhere."""

import torch
from torch import Tensor
from torch.fx import Node

from advprune.structure.flow import RULES, Flow, fixed, is_tensor
from advprune.structure.graph import BATCH, open_shape_of, shape_of
from advprune.structure.labels import compact, spread, varying
from advprune.structure.parts import Examples
from advprune.structure.rules.movement import MOVES


def examples_in(flow: Flow, node: Node) -> Examples:
    """Returns where the examples of a batch lie in a node's value.

    Where the graph says only that a dimension is a multiple of the batch, the operators that made
    it so are followed; where that fails, the first dimension is taken, one example after another.
    """
    ids = compact(_ids(Flow(flow.graph, flow.model), node))
    dims, line = varying(ids), ids.flatten()
    unknown = Examples(inner=max(shape_of(node)[0] // BATCH, 1))
    if len(dims) != 1:
        return unknown
    inner = int((line == line[0]).int().cumprod(0).sum())
    found = Examples(dims[0], len(line) // (BATCH * inner), inner)
    whole = found.spread(torch.arange(1, BATCH + 1).unsqueeze(1)).flatten()
    return found if torch.equal(whole, line) else unknown


def _ids(scratch: Flow, node: Node) -> Tensor:
    """Returns which example each element of a value is of, from 1, as labels; 0 is of none."""
    if node not in scratch.labels:
        scratch.labels[node] = _found(scratch, node)
    return scratch.of(node)


def _found(scratch: Flow, node: Node) -> Tensor | list[Tensor]:
    shape = shape_of(node)
    dims = [dim for dim, size in enumerate(open_shape_of(node)) if size is None]
    if not dims:
        return fixed(node)
    if len(dims) == 1 and shape[dims[0]] == BATCH:
        return spread(torch.arange(1, BATCH + 1), dims[0], len(shape))
    sources = list(filter(is_tensor, node.all_input_nodes))
    if str(node.target) in MOVES:
        for source in sources:
            _ids(scratch, source)
        return RULES[str(node.target)](scratch, node)
    alike = [source for source in sources if _as_large(source, shape, dims)]
    return _ids(scratch, alike[0]) if alike else fixed(node)


def _as_large(source: Node, shape: torch.Size, dims: list[int]) -> bool:
    own = shape_of(source)
    return len(own) == len(shape) and all(own[dim] == shape[dim] for dim in dims)
