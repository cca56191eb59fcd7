import pytest
import torch
from torch import Tensor, nn

from advprune.objectives import Batch, Coefficients, Losses, with_noisy_logits


def test_only_what_is_trained_sees_noise_and_no_hook_stays() -> None:
    model, x = nn.Linear(2, 1000), torch.ones(3, 2)
    plain = model(x)
    seen: dict[str, Tensor] = {}

    def attacked(images: Tensor, *_: object, **__: object) -> Tensor:
        seen["attacked"] = model.eval()(images)
        model.train()
        return images

    def objective(net: nn.Module, batch: Batch, adversary: object, _: Coefficients) -> Losses:
        attacked(batch.x)
        seen["trained"] = net(batch.x)
        return Losses(seen["trained"].sum(), None, {})

    batch = Batch(x, torch.zeros(3, dtype=torch.int64))
    with_noisy_logits(objective, 2.0)(model.train(), batch, attacked, Coefficients())
    torch.testing.assert_close(seen["attacked"], plain)
    noise = seen["trained"] - plain
    assert noise.std().item() == pytest.approx(2.0, rel=0.1)
    assert not torch.allclose(noise[0], noise[1])
    torch.testing.assert_close(model(x), plain)
