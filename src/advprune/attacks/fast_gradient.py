"""A faster gradient with respect to images."""

from contextlib import AbstractContextManager, nullcontext


def fast_input_gradients() -> AbstractContextManager[object]:
    """Nothing yet."""
    return nullcontext()
