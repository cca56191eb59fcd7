"""Anything that classifies images, as a model that attacks without gradients can query."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from advprune.choices import check_count


class BlackBox(nn.Module):
    """A classifier of which only the answers are seen: an exported runtime, a service.

    Attacks that take no gradients accept it: `Square`, `SPSA`, `Substitute`, `DecisionBased`.
    An ONNX Runtime session, for one, is
    `BlackBox(lambda x: session.run(None, {"x": x.numpy()})[0])`.

    Args:
        answer: function of images, a float32 tensor (batch, channels, height, width) on the CPU
            without gradient, to logits (batch, classes) or to classes (batch,); a tensor or
            anything that `torch.as_tensor` takes, such as an array of NumPy's.
        classes: number of classes; needed where `answer` gives classes, which become logits of 1
            at the class and 0 elsewhere.

    Raises:
        ValueError: when classes are answered and their number was not given or is exceeded.
    """

    def __init__(self, answer: Callable[[Tensor], Any], *, classes: int | None = None) -> None:
        super().__init__()
        if classes is not None:
            check_count("classes", classes, least=2)
        self.answer = answer
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images, (batch, classes), where the images are and without gradient."""
        answered = torch.as_tensor(self.answer(x.detach().cpu().contiguous())).to(x.device)
        return self._one_hot(answered).float() if answered.dim() == 1 else answered

    def _one_hot(self, classes: Tensor) -> Tensor:
        if self.classes is None:
            raise ValueError("the function answers with classes: say how many, as in classes=10")
        if len(classes) and not 0 <= classes.min() <= classes.max() < self.classes:
            raise ValueError(
                f"the function answers classes in [{classes.min()}, {classes.max()}]; "
                f"with classes={self.classes} allowed are 0 to {self.classes - 1}"
            )
        return nn.functional.one_hot(classes.long(), self.classes)
