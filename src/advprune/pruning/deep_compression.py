"""Deep Compression: weights as gaps and shared values, both in Huffman code, in a real file.

A pruned weight is stored as the gaps between its values that are not 0 and, for each of them, the
number of the value nearest to it among `2^bits` that k-means found. The values themselves are not
trained on afterwards, as they are in the paper.

Source: Han, Mao & Dally 2016, "Deep compression" (arXiv 1510.00149), sections 2 to 4: 8 bits for
convolutions and 5 for dense layers, k-means from values at equal distances.
"""

import heapq
import json
from collections import Counter
from pathlib import Path

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from sklearn.cluster import KMeans  # type: ignore[import-untyped]
from torch import Tensor, nn

from advprune.choices import check_count

FORMAT = "advprune-deep-compression-1"
_LARGEST_GAP = 255
"""A gap of so many stands for as many zeros and no value behind them."""

Symbols = NDArray[np.int64]


def compress(model: nn.Module, path: str | Path, *, conv_bits: int = 8, dense_bits: int = 5) -> int:
    """Writes a model's tensors to one file; most of its weights should be 0.

    Args:
        model: pruned weight by weight; it is left as it is.
        path: of the file, a safetensors one.
        conv_bits: a convolution shares at most `2^conv_bits` values.
        dense_bits: the same of a dense layer.

    Returns:
        The file's size in bytes, with all that is needed to read it.

    Raises:
        ValueError: a number of bits is not in 1 to 8.
    """
    for name, bits in (("conv_bits", conv_bits), ("dense_bits", dense_bits)):
        check_count(name, bits)
        if bits > 8:
            raise ValueError(f"{name}={bits}; allowed are 1 to 8")
    stored: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, value in model.state_dict().items():
        if value.dim() < 2 or not value.is_floating_point():
            stored[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
            continue
        shapes[name] = list(value.shape)
        packed = _packed(value.detach().cpu(), conv_bits if value.dim() > 2 else dense_bits)
        stored |= {f"{name}.{part}": content for part, content in packed.items()}
    save_file(stored, path, metadata={"format": FORMAT, "shapes": json.dumps(shapes)})
    return Path(path).stat().st_size


def compress_in_place(model: nn.Module, path: str | Path) -> int:
    """Writes a model as `compress` does, and gives it the values that the file holds.

    Args:
        model: pruned weight by weight; what it answers afterwards is what the file stands for.
        path: of the file.

    Returns:
        The file's size in bytes.
    """
    size = compress(model, path)
    model.load_state_dict(decompress(path))
    return size


def decompress(path: str | Path) -> dict[str, Tensor]:
    """Reads what `compress` wrote: a state that `load_state_dict` takes; nothing is unpickled.

    Raises:
        ValueError: the file is no such file.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} is no {FORMAT} file")
    state = {}
    for name, shape in json.loads(metadata["shapes"]).items():
        parts = {part: stored.pop(f"{name}.{part}").numpy() for part in _PARTS}
        state[name] = _unpacked(parts, shape)
    return {**stored, **state}


_PARTS = ("values", "gaps", "gap_lengths", "numbers", "number_lengths", "counts")


def _packed(weight: Tensor, bits: int) -> dict[str, Tensor]:
    flat = weight.flatten().double().numpy()
    places = np.flatnonzero(flat)
    values, numbers = shared_values(flat[places], 2**bits)
    gaps = _gaps(places)
    gap_lengths, number_lengths = code_lengths(gaps, 256), code_lengths(numbers, 256)
    return {
        "values": torch.from_numpy(values.astype(np.float32)),
        "gaps": torch.from_numpy(encode(gaps, gap_lengths)),
        "gap_lengths": torch.from_numpy(gap_lengths),
        "numbers": torch.from_numpy(encode(numbers, number_lengths)),
        "number_lengths": torch.from_numpy(number_lengths),
        "counts": torch.tensor([len(gaps), len(numbers)]),
    }


def _unpacked(parts: dict[str, NDArray[np.generic]], shape: list[int]) -> Tensor:
    count_gaps, count_numbers = (int(count) for count in parts["counts"])
    gaps = decode(parts["gaps"].astype(np.uint8), parts["gap_lengths"].astype(np.uint8), count_gaps)
    numbers = decode(
        parts["numbers"].astype(np.uint8), parts["number_lengths"].astype(np.uint8), count_numbers
    )
    steps = np.where(gaps == _LARGEST_GAP, _LARGEST_GAP, gaps + 1)
    places = (np.cumsum(steps) - 1)[gaps != _LARGEST_GAP]
    flat = np.zeros(int(np.prod(shape)), dtype=np.float32)
    flat[places] = parts["values"].astype(np.float32)[numbers]
    return torch.from_numpy(flat.reshape(shape))


def shared_values(values: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], Symbols]:
    """The values that k-means finds, and the number of the nearest one for each given value.

    Args:
        values: of the weights that are not 0.
        count: how many to find at most; fewer distinct values are kept as they are.
    """
    distinct, numbers = np.unique(values, return_inverse=True)
    if len(distinct) <= count:
        return distinct, numbers.astype(np.int64)
    start = np.linspace(values.min(), values.max(), count)[:, None]
    found = KMeans(count, init=start, n_init=1).fit(values[:, None])
    return found.cluster_centers_[:, 0], found.labels_.astype(np.int64)


def _gaps(places: NDArray[np.int64]) -> Symbols:
    """How many zeros stand before each value, long gaps in several symbols."""
    zeros = np.diff(places, prepend=-1) - 1
    repeats = zeros // _LARGEST_GAP + 1
    symbols = np.full(int(repeats.sum()), _LARGEST_GAP, dtype=np.int64)
    symbols[np.cumsum(repeats) - 1] = zeros % _LARGEST_GAP
    return symbols


def code_lengths(symbols: Symbols, alphabet: int) -> NDArray[np.uint8]:
    """Bits of each symbol's Huffman code, (alphabet,); 0 for those that do not occur."""
    lengths = np.zeros(alphabet, dtype=np.uint8)
    heap = [(count, symbol, [symbol]) for symbol, count in Counter(symbols.tolist()).items()]
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
    heapq.heapify(heap)
    while len(heap) > 1:
        (first, tie, ours), (second, _, theirs) = heapq.heappop(heap), heapq.heappop(heap)
        lengths[ours + theirs] += 1
        heapq.heappush(heap, (first + second, tie, ours + theirs))
    return lengths


def encode(symbols: Symbols, lengths: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The symbols' codes one after another, packed into bytes."""
    codes = {symbol: [int(bit) for bit in code] for code, symbol in _codes(lengths).items()}
    bits = [bit for symbol in symbols.tolist() for bit in codes[symbol]]
    return np.packbits(np.array(bits, dtype=np.uint8))


def decode(content: NDArray[np.uint8], lengths: NDArray[np.uint8], count: int) -> Symbols:
    """The first `count` symbols of what `encode` gave."""
    codes, code = _codes(lengths), ""
    symbols: list[int] = []
    bits = iter(np.unpackbits(content).tolist())
    while len(symbols) < count:
        code += str(next(bits))
        if code in codes:
            symbols.append(codes[code])
            code = ""
    return np.array(symbols, dtype=np.int64)


def _codes(lengths: NDArray[np.uint8]) -> dict[str, int]:
    """The canonical code: symbols by length, then by number, get consecutive codes."""
    codes: dict[str, int] = {}
    code = previous = 0
    for length, symbol in sorted((int(n), s) for s, n in enumerate(lengths.tolist()) if n):
        code <<= length - previous
        codes[format(code, f"0{length}b")] = symbol
        code, previous = code + 1, length
    return codes
