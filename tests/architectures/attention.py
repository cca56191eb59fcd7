"""Transformers: attention by torch's module, by its function and by hand; windows; mixers."""

import torch
from tests.architectures.entry import architecture
from torch import Tensor, nn
from torch.nn import functional

CLASSES, DIM, HEADS = 4, 12, 3
HEAD_DIM = DIM // HEADS


class Attention(nn.Module):
    """Self-attention from one joint projection."""

    heads = HEADS

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, HEADS, HEAD_DIM).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        weights = (query @ key.transpose(-2, -1) * HEAD_DIM**-0.5).softmax(-1)
        out: Tensor = self.proj((weights @ value).transpose(1, 2).reshape(batch, tokens, dim))
        return out


class SeparateAttention(nn.Module):
    """Self-attention from three projections, by torch's fused function."""

    heads = HEADS

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)
        self.value, self.proj = nn.Linear(DIM, DIM, bias=False), nn.Linear(DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        def heads(y: Tensor) -> Tensor:
            return y.view(y.shape[0], -1, HEADS, HEAD_DIM).transpose(1, 2)

        y = functional.scaled_dot_product_attention(
            heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
        )
        out: Tensor = self.proj(y.transpose(1, 2).flatten(2))
        return out


class ModuleAttention(nn.Module):
    """Self-attention by `nn.MultiheadAttention`."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return out


class TokensFirst(ModuleAttention):
    """The same as it is by default: tokens before examples, and the weights computed, too."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(DIM, HEADS)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1)
        out: Tensor = self.attention(x, x, x)[0].transpose(0, 1)
        return out


class Encoder(nn.Module):
    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.attention = attention
        self.mlp = nn.Sequential(nn.Linear(DIM, 24), nn.GELU(), nn.Dropout(0.1), nn.Linear(24, DIM))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class ViT(nn.Module):
    """Patches of 4x4, a class token, positions, blocks, a norm, a dense layer."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, DIM, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, DIM))
        self.positions = nn.Parameter(torch.zeros(1, 5, DIM))
        self.blocks, self.norm = nn.Sequential(*blocks), nn.LayerNorm(DIM)
        self.fc = nn.Linear(DIM, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        logits: Tensor = self.fc(self.norm(self.blocks(x))[:, 0])
        return logits


@architecture(floor=0.67)
def vit_own_attention() -> nn.Module:
    return ViT(Encoder(Attention()), Encoder(Attention()))


@architecture(floor=0.57)
def vit_fused_attention() -> nn.Module:
    return ViT(Encoder(SeparateAttention()))


@architecture(floor=0.67)
def vit_multihead_attention() -> nn.Module:
    return ViT(Encoder(ModuleAttention()), Encoder(TokensFirst()))


@architecture(floor=0.34)
def vit_encoder_layer() -> nn.Module:
    """`nn.TransformerEncoderLayer`, norms after the sums; its attention drops weights in training.

    The graph would not, so the class is gated, which hides the heads from gates.
    """
    return ViT(nn.TransformerEncoderLayer(DIM, HEADS, 24, batch_first=True))


class Windows(nn.Module):
    """Swin: attention inside 2x2 windows of a 4x4 map, rolled by one, with position biases."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift, self.attention = shift, Attention()
        self.bias = nn.Parameter(torch.zeros(1, 4, DIM))

    def forward(self, x: Tensor) -> Tensor:
        batch = x.shape[0]
        x = torch.roll(x.view(batch, 4, 4, DIM), (-self.shift, -self.shift), (1, 2))
        x = x.view(batch, 2, 2, 2, 2, DIM).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, DIM)
        x = self.attention(x + self.bias)
        x = x.view(batch, 2, 2, 2, 2, DIM).permute(0, 1, 3, 2, 4, 5).reshape(batch, 4, 4, DIM)
        return torch.roll(x, (self.shift, self.shift), (1, 2)).reshape(batch, 16, DIM)


@architecture(floor=0.69)
class Swin(nn.Module):
    """Two windowed blocks on patches of 2x2, patches merged, a norm, the mean over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, DIM, 2, stride=2)
        self.blocks = nn.Sequential(Encoder(Windows(0)), Encoder(Windows(1)))
        self.merge_norm, self.merge = nn.LayerNorm(4 * DIM), nn.Linear(4 * DIM, 20, bias=False)
        self.norm, self.fc = nn.LayerNorm(20), nn.Linear(20, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.patches(x).flatten(2).transpose(1, 2)).view(-1, 4, 4, DIM)
        corners = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        x = self.merge(self.merge_norm(torch.cat(corners, -1).flatten(1, 2)))
        logits: Tensor = self.fc(self.norm(x).mean(1))
        return logits


class MixerBlock(nn.Module):
    """A perceptron over tokens, then one over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.tokens = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 5))
        self.channels = nn.Sequential(nn.Linear(DIM, 24), nn.GELU(), nn.Linear(24, DIM))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        out: Tensor = x + self.channels(self.norm2(x))
        return out


@architecture(floor=0.57)
def vit_encoder_layer_tokens_first() -> nn.Module:
    """`nn.TransformerEncoderLayer` as it is by default, without dropout."""

    class TokensFirstEncoder(nn.TransformerEncoderLayer):
        def forward(self, src: Tensor) -> Tensor:  # type: ignore[override]
            out: Tensor = super().forward(src.transpose(0, 1)).transpose(0, 1)
            return out

    return ViT(TokensFirstEncoder(DIM, HEADS, 24, dropout=0.0))


@architecture(floor=0.71)
def mlp_mixer() -> nn.Module:
    return ViT(MixerBlock(), MixerBlock())
