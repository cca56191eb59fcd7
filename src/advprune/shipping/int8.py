"""Post-training quantisation to int8, with images of the training split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from advprune.shipping.extras import need, quiet
from advprune.shipping.onnx import INPUT

BATCH = 32


def onnx(path: Path, images: Tensor) -> None:
    """Quantise an ONNX file in place: weights a channel, activations a tensor, as QDQ pairs.

    Weights keep 7 bits. The instructions of processors without VNNI add two products of 8 bits
    into 16 and would saturate, so that answers would depend on the processor.

    Args:
        path: A float32 file.
        images: For the ranges of the activations, (images, channels, height, width).
    """
    quantization = need("onnxruntime.quantization")
    preprocess = need("onnxruntime.quantization.shape_inference").quant_pre_process
    folded = path.with_suffix(".folded.onnx")
    with quiet():
        preprocess(path, folded, skip_symbolic_shape=True)
        quantization.quantize_static(
            folded,
            path,
            _reader(quantization.CalibrationDataReader, images),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
    folded.unlink()


def openvino(path: Path, images: Tensor) -> None:
    """Quantise an OpenVINO file in place with NNCF; weights keep 7 bits, as in ONNX.

    Biases stay the network's: NNCF would move them until clean images keep their mean activations,
    which is no help, and may be harm, where images are attacked.
    """
    runtime, nncf = need("openvino"), need("nncf")
    parameters = nncf.AdvancedQuantizationParameters(
        overflow_fix=need("nncf.quantization.advanced_parameters").OverflowFix.ENABLE,
        disable_bias_correction=True,
    )
    with quiet():
        quantised = nncf.quantize(
            runtime.Core().read_model(path),
            nncf.Dataset([image.numpy() for image in torch.split(images, 1)]),
            subset_size=len(images),
            advanced_parameters=parameters,
        )
    draft = path.with_name("quantised.xml")
    runtime.save_model(quantised, draft, compress_to_fp16=False)
    for suffix in (".xml", ".bin"):
        draft.with_suffix(suffix).replace(path.with_suffix(suffix))


def _reader(base: Any, images: Tensor) -> Any:
    class Reader(base):  # type: ignore[misc]  # the base is known only where it is installed
        """Hands the images over in batches."""

        def __init__(self) -> None:
            self.batches: Iterator[Tensor] = iter(torch.split(images, BATCH))

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch.numpy()}

    return Reader()
