"""A network of a model's own layers, trained afresh, to transfer attacks from."""

import copy

import torch
from torch import Tensor, nn

from advprune.attacks import imitate
from advprune.choices import check_count


def fresh_source(
    model: nn.Module, images: tuple[Tensor, Tensor], *, epochs: int = 10, seed: int = 0
) -> nn.Module:
    """Train a network of the same layers from new weights, to be a source of `evaluate`.

    What fools it is tried on the model: images that the model's own gradients did not break and
    these do are a sign that they are masked. It learns the cross-entropy without attacks, by Adam
    of rate 1e-3 in batches of 64.

    Source: the black box of Madaan, Shin & Hwang (2020), Table 1, is an independent network.

    Args:
        model: Whose layers; left as it is.
        images: Training images (n, channels, height, width) in [0, 1], and their classes.
        epochs: Passes over them.
        seed: Of the weights, the order and whatever the layers draw.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: The model has no weights, or some that no layer draws anew.
    """
    check_count("epochs", epochs)
    x, y = images
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = _drawn_anew(model)
        device = next(network.parameters()).device
        shuffled = torch.Generator().manual_seed(seed)
        return imitate(
            lambda _: y.to(device),
            x.to(device),
            network,
            rounds=0,
            epochs=epochs,
            generator=shuffled,
        )


def _drawn_anew(model: nn.Module) -> nn.Module:
    network = copy.deepcopy(model).requires_grad_()
    kept = dict(network.named_parameters())
    for name, layer in network.named_modules():
        if reset := getattr(layer, "reset_parameters", None):
            reset()
            for own, _ in layer.named_parameters(prefix=name):
                kept.pop(own, None)
    if kept or not list(network.parameters()):
        held = ", ".join(kept) or "none"
        raise ValueError(
            f"{type(model).__name__} cannot be trained afresh, for its weights that no layer draws "
            f"anew ({held}): train another network and give it as a source"
        )
    return network
