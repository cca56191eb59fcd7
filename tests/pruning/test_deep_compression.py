from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from advprune.models import build
from advprune.pruning.deep_compression import (
    code_lengths,
    compress,
    decode,
    decompress,
    encode,
    shared_values,
)


def test_frequent_symbols_get_short_codes() -> None:
    symbols = np.array([7] * 8 + [1] * 4 + [2] * 2 + [3] * 2)
    lengths = code_lengths(symbols, 8)
    assert lengths.tolist() == [0, 2, 3, 3, 0, 0, 0, 1]
    assert len(encode(symbols, lengths)) == -(-(8 * 1 + 4 * 2 + 4 * 3) // 8)


@pytest.mark.parametrize("symbols", [[5], [5, 5, 5], [0, 1, 2, 3, 0, 0, 1], []])
def test_what_is_encoded_is_decoded(symbols: list[int]) -> None:
    given = np.array(symbols, dtype=np.int64)
    lengths = code_lengths(given, 8)
    assert decode(encode(given, lengths), lengths, len(given)).tolist() == symbols


def test_values_are_shared_by_their_cluster() -> None:
    values, numbers = shared_values(np.array([0.9, 1.1, 5.0, 1.0, -3.0]), 3)
    assert values[numbers].tolist() == pytest.approx([1.0, 1.0, 5.0, 1.0, -3.0])


def pruned(share: float) -> nn.Module:
    torch.manual_seed(0)
    model = build("lenet5_caffe", widths=[8, 12, 60])
    for value in model.parameters():
        if value.dim() > 1:
            size = value.detach().abs().flatten()
            value.data[value.abs() < size.kthvalue(int(share * len(size))).values] = 0
    return model


def test_the_file_loads_again_as_a_small_network_with_few_values(tmp_path: Path) -> None:
    model, path = pruned(0.9), tmp_path / "model.safetensors"
    size = compress(model, path)
    assert size == path.stat().st_size
    assert size < 0.15 * 4 * sum(value.numel() for value in model.parameters())
    state, own = decompress(path), model.state_dict()
    assert set(state) == set(own)
    for name, value in own.items():
        if value.dim() < 2:
            assert torch.equal(state[name], value)
            continue
        assert torch.equal(state[name] != 0, value != 0)
        assert len(set(state[name].flatten().tolist())) <= 2 ** (8 if value.dim() > 2 else 5) + 1
        assert (state[name] - value).norm() < 0.1 * value.norm()
    model.load_state_dict(state)


def test_long_gaps_and_empty_layers_come_back(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(1000, 1), nn.Linear(1000, 1))
    for name in ("0.weight", "1.weight"):
        model.get_parameter(name).data.zero_()
    model.get_parameter("0.weight").data[0, [0, 255, 256, 999]] = torch.tensor([1.0, 2, 3, 4])
    compress(model, tmp_path / "m")
    state = decompress(tmp_path / "m")
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_impossible_settings_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="conv_bits=9; allowed are 1 to 8"):
        compress(nn.Linear(2, 2), tmp_path / "m", conv_bits=9)
    (tmp_path / "m").write_bytes(b"no")
    with pytest.raises(ValueError, match="cannot be read"):
        decompress(tmp_path / "m")
