import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from advprune.gates import GatedModel
from advprune.pruning import slim
from advprune.training.lightning import Prune

X = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LOADER = DataLoader(TensorDataset(X, torch.arange(8) % 3), batch_size=4)


class Classifier(pl.LightningModule):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def fitted(module: Classifier, prune: Prune) -> None:
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[prune],
    )
    trainer.fit(module, LOADER)


def test_dead_units_go_while_it_trains_and_a_slim_network_is_left(
    learned_chain: GatedModel,
) -> None:
    learned_chain.gates["conv1"].close(torch.tensor([False, True, False]))
    prune = Prune("net", examples=8, fold=slim, example_input=X)
    fitted(Classifier(learned_chain), prune)
    assert learned_chain.structure.groups["conv1"].units == 2
    assert prune.slim is not None
    assert prune.slim.get_parameter("conv1.weight").shape[0] == 2
    torch.testing.assert_close(prune.slim.eval()(X), learned_chain.eval()(X), rtol=1e-4, atol=1e-5)


def test_the_divergence_reaches_the_gates(learned_chain: GatedModel) -> None:
    prune = Prune("net", examples=4, fold=slim, example_input=X, beta=2.0)
    module = Classifier(learned_chain)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    prune.on_before_backward(trainer, module, torch.tensor(0.0))
    found = [parameter.grad for parameter in learned_chain.gate_parameters()]
    expected = torch.autograd.grad(0.5 * learned_chain.kl(), learned_chain.gate_parameters())
    torch.testing.assert_close(found, list(expected))


def test_what_is_not_gated_is_refused() -> None:
    prune = Prune("net", examples=8, fold=slim, example_input=X)
    with pytest.raises(ValueError, match=r"Classifier\.net is a Linear"):
        fitted(Classifier(nn.Linear(1, 1)), prune)
