"""Defensive distillation."""

from torch import Tensor, nn


class Temperature(nn.Module):
    """Logits over T. A network is trained with it and used without: its logits are T times larger.

    Teacher and student are both trained with it, the student on the teacher's softmax(z / T); the
    student's cross-entropy without it underflows, and with it its gradient.

    Source: Papernot et al., "Distillation as a defense" (2016), section IV; Carlini & Wagner (2017)
    say how it falls.

    Args:
        temperature: T.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature={temperature}; allowed are numbers above 0")
        self.temperature = temperature

    def forward(self, logits: Tensor) -> Tensor:
        """Softened logits, (batch, classes)."""
        return logits / self.temperature


def soft_cross_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """-Σ p log softmax(logits), (batch,): the student's loss on the teacher's probabilities p."""
    return -(probabilities * logits.log_softmax(1)).sum(1)
