"""The image classifiers of `transformers`, from their configurations at small size."""

from typing import Any

import transformers
from tests.architectures.entry import architecture
from torch import nn

from advprune.models import Logits

CLASSES = 4


def classifier(kind: str, **settings: Any) -> nn.Module:
    config = getattr(transformers, f"{kind}Config")(num_labels=CLASSES, **settings)
    return Logits(getattr(transformers, f"{kind}ForImageClassification")(config))


@architecture((3, 32, 32), floor=0.89)
def transformers_resnet() -> nn.Module:
    return classifier("ResNet", embedding_size=8, hidden_sizes=[16, 24], depths=[1, 2])


@architecture((3, 32, 32), floor=0.92)
def transformers_regnet() -> nn.Module:
    return classifier(
        "RegNet", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], groups_width=4
    )


@architecture((3, 32, 32), floor=0.98)
def transformers_mobilenet_v1() -> nn.Module:
    return classifier("MobileNetV1", image_size=32, depth_multiplier=0.25, min_depth=4)


@architecture((3, 32, 32), floor=0.98)
def transformers_mobilenet_v2() -> nn.Module:
    return classifier("MobileNetV2", image_size=32, depth_multiplier=0.25, depth_divisible_by=4)


@architecture((3, 32, 32), floor=0.98)
def transformers_efficientnet() -> nn.Module:
    return classifier(
        "EfficientNet",
        image_size=32,
        width_coefficient=0.1,
        in_channels=[32, 160, 160],
        out_channels=[160, 160, 240],
        kernel_sizes=[3, 3, 5],
        strides=[1, 2, 2],
        num_block_repeats=[1, 1, 1],
        expand_ratios=[1, 4, 4],
        depthwise_padding=[],
        hidden_dim=128,
    )


@architecture((3, 16, 16), floor=0.42)
def transformers_convnext() -> nn.Module:
    return classifier("ConvNext", image_size=16, num_stages=2, hidden_sizes=[8, 12], depths=[1, 1])


_TRANSFORMER = {
    "image_size": 8,
    "patch_size": 4,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 24,
}


@architecture(floor=0.67)
def transformers_vit() -> nn.Module:
    return classifier("ViT", **_TRANSFORMER)


@architecture(floor=0.69)
def transformers_deit() -> nn.Module:
    return classifier("DeiT", **_TRANSFORMER)


@architecture((3, 16, 16), floor=0.66)
def transformers_swin() -> nn.Module:
    return classifier(
        "Swin",
        image_size=16,
        patch_size=2,
        embed_dim=8,
        depths=[2, 1],
        num_heads=[2, 4],
        window_size=4,
        mlp_ratio=2.0,
    )


@architecture((3, 32, 32), floor=0.02)
def transformers_bit() -> nn.Module:
    """Standardises its convolutions' weights over what they read, so only what none reads goes."""
    return classifier("Bit", embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], num_groups=4)
