"""What is asked of a model before its graph is."""

import copy

import torch
from torch import Tensor, nn

from advprune.models.logits import answer_of
from advprune.models.refusals import NoLogitsError
from advprune.structure.errors import UnsupportedModelError, place_of_error
from advprune.structure.parity import difference

_ASKED = 3
"""Images that are asked together."""


def check_images(example_input: Tensor) -> None:
    """Raises ValueError unless the input is a batch of images."""
    if example_input.dim() != 4:
        raise ValueError(
            f"example_input has shape {tuple(example_input.shape)}; "
            "it must be (batch, channels, height, width)"
        )


@torch.no_grad()
def answered(model: nn.Module, x: Tensor) -> Tensor:
    """Returns the answer of a copy of the model in eval mode, (batch, ...).

    Args:
        model: any module; it is left as it is.
        x: (batch, channels, height, width).

    Raises:
        ValueError: the model does not give one tensor for one, or does not run; says where in the
            user's code.
    """
    try:
        return answer_of(copy.deepcopy(model).eval(), x)
    except (NoLogitsError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise NoLogitsError(
            f"{type(model).__name__} does not run on a batch of {len(x)}, of images "
            f"{tuple(x.shape[1:])}{place_of_error(error)}: {error}"
        ) from error


def check_alone(model: nn.Module, example_input: Tensor) -> None:
    """Checks that an image's logits depend on this image alone: not on others, nor on chance.

    Args:
        model: any module; it is left as it is.
        example_input: only its shape, dtype and device matter: the images are random.

    Raises:
        ValueError: as `answered`.
        UnsupportedModelError: they depend on something else, in eval mode.
    """
    noise = torch.Generator().manual_seed(0)
    shape = (_ASKED, *example_input.shape[1:])
    x = torch.rand(shape, generator=noise).to(example_input)
    expected = answered(model, x)
    if (found := difference(answered(model, x), expected)) is not None:
        raise UnsupportedModelError(
            f"{type(model).__name__} answers the same images otherwise a second time, in eval mode "
            f"too, so that nothing could be proven of it: {found}"
        )
    if (found := difference(answered(model, x[:1]), expected[:1])) is not None:
        raise UnsupportedModelError(
            f"{type(model).__name__} mixes the examples of a batch: it answers an image alone "
            f"otherwise than among others, in eval mode too: {found}"
        )
