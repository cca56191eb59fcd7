"""A slim network goes through the interfaces of AutoAttack and RobustBench as it is."""

from collections.abc import Callable
from typing import Any

import pyautoattack  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from advprune.gates import gate
from advprune.pruning import slim

X = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def benchmark(
    model: nn.Module | list[nn.Module],
    *,
    n_examples: int,
    threat_model: str,
    eps: float,
    device: torch.device,
    preprocessing: Callable[[Any], Any] | None = None,
) -> tuple[float, float]:
    """Stands for `robustbench.benchmark`: what it asks of a model, on these images."""
    assert isinstance(model, nn.Module)
    assert preprocessing is None
    net = model.to(device).eval()
    x = X[:n_examples]
    y = net(x).argmax(1)
    attacked = attack(net, x, y, threat_model, eps)
    with torch.no_grad():
        return 1.0, float((net(attacked).argmax(1) == y).double().mean())


def attack(net: nn.Module, x: Tensor, y: Tensor, norm: str, eps: float) -> Tensor:
    runner = pyautoattack.AutoAttack(
        net,
        attacks=["apgd-ce"],
        norm=norm,
        eps=eps,
        version="custom",
        seed=0,
    )
    runner.verbose = False
    runner.apgd.n_iter = 10
    adversarial: Tensor = runner.run_standard_evaluation(x, y, batch_size=3)[0]
    return adversarial


def test_a_slim_network_is_attacked_unchanged() -> None:
    """Its logits say whether the image is bright: sum(x - 0.5) and the opposite."""
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    with torch.no_grad():
        net.get_parameter("0.weight").copy_(torch.tensor([1.0, -1.0, 1.0]).view(3, 1, 1, 1))
        net.get_parameter("0.bias").copy_(torch.tensor([-0.5, 0.5, 1.0]))
        signs = torch.tensor([1.0, -1.0, 0.0]).repeat_interleave(16)
        net.get_parameter("3.weight").copy_(torch.stack([signs, -signs]))
    gated = gate(net, X, "fixed")
    gated.gates["0"].close(torch.tensor([False, False, True]))
    small = slim(gated, X)
    assert small.get_parameter("0.weight").shape[0] == 2
    clean, robust = benchmark(
        small, n_examples=6, threat_model="Linf", eps=0.5, device=torch.device("cpu")
    )
    assert (clean, robust) == (1.0, 0.0)
