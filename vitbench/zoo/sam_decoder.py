"""SAM's prompt encoder and mask decoder for one box (arXiv 2304.02643).

Submodule names are those of the official checkpoints, so the keys of the train form are theirs.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from vitbench.catalog.specs import ModelSpec, Spec
from vitbench.errors import UsageError
from vitbench.zoo.attention import Attention, softmax_attend
from vitbench.zoo.hyper import read_hyper
from vitbench.zoo.norms import ChannelNorm
from vitbench.zoo.wide import LayerNorm, narrow, wide

CHANNELS = 256
GRID = 64
IMAGE_SIDE = 1024
HEADS = 8
LAYERS = 2
HIDDEN = 2048
MASKS = 4
# Norms over the channels of a map; those of the transformer have an epsilon of their own.
MAP_NORM_EPS = 1e-6


class PositionEncoding(nn.Module):
    """Random Fourier features of a place, (..., 2) as (x, y) in 0..1 to (..., 256): sines, then cosines."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.zeros(2, CHANNELS // 2))

    def forward(self, places: Tensor) -> Tensor:
        # Half has steps of a hundredth where these angles end.
        matrix = wide(self.positional_encoding_gaussian_matrix)
        angles = 2 * math.pi * torch.matmul(2 * wide(places) - 1, matrix)
        return narrow(torch.cat([angles.sin(), angles.cos()], dim=-1), places)


class PromptEncoder(nn.Module):
    """A box as two tokens, and the terms that every pixel of the embedding gets.

    What points and masks need is in the checkpoint, and not used.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = PositionEncoding()
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, CHANNELS) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, CHANNELS)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, 2),
            ChannelNorm(4, eps=MAP_NORM_EPS),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, 2),
            ChannelNorm(16, eps=MAP_NORM_EPS),
            nn.GELU(),
            nn.Conv2d(16, CHANNELS, 1),
        )
        self.no_mask_embed = nn.Embedding(1, CHANNELS)
        centres = (torch.arange(GRID, device="cpu") + 0.5) / GRID
        grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)
        self.register_buffer("places", grid.reshape(-1, 2), persistent=False)
        self.register_buffer("image_places", None, persistent=False)

    def forward(self, boxes: Tensor) -> Tensor:
        """Tokens of the corners, (N, 2, 256), of boxes (N, 4) in pixels of a 1024 x 1024 image."""
        corners = (wide(boxes).reshape(-1, 2, 2) + 0.5) / IMAGE_SIDE
        labels = torch.cat([self.point_embeddings[2].weight, self.point_embeddings[3].weight])
        return narrow(self.pe_layer(corners), labels) + labels

    def image_encoding(self) -> Tensor:
        """Encoded places of the embedding's pixels, (64 * 64, 256)."""
        return self.pe_layer(self.places) if self.image_places is None else self.image_places

    def fold_(self) -> None:
        """Encode the places of the pixels once."""
        self.image_places = self.image_encoding()


class TwoWayAttention(Attention):
    """Multi-head attention between tokens and pixels, on channels divided by `reduction`."""

    kind = "softmax"
    formulations = ("products",)
    fast = "products"

    def __init__(self, reduction: int = 1) -> None:
        super().__init__()
        inner = CHANNELS // reduction
        self.q_proj = nn.Linear(CHANNELS, inner)
        self.k_proj = nn.Linear(CHANNELS, inner)
        self.v_proj = nn.Linear(CHANNELS, inner)
        self.out_proj = nn.Linear(inner, CHANNELS)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Map query (N, Q, 256), key and value (N, K, 256) to (N, Q, 256)."""
        query, key, value = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        heads = (_to_heads(tensor) for tensor in (query, key, value))
        out = softmax_attend(*heads, fused=False)
        return self.out_proj(out.flatten(1, 2).transpose(1, 2))


def _to_heads(x: Tensor) -> Tensor:
    """Map (N, P, inner) to (N, heads, inner / heads, P)."""
    return x.transpose(1, 2).unflatten(1, (HEADS, -1))


class MLP(nn.Module):
    """Linear layers with ReLU between."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(cin, cout) for cin, cout in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class TokenMLP(nn.Module):
    """Feed-forward on tokens, with ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.lin1 = nn.Linear(CHANNELS, HIDDEN)
        self.lin2 = nn.Linear(HIDDEN, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.relu(self.lin1(x)))


class TwoWayBlock(nn.Module):
    """Tokens attend to tokens, then to pixels, pass an MLP, and pixels attend to tokens; norms come after.

    Each attention sees its queries and keys with their places added. The first block's attention among
    tokens sees them without, and replaces the tokens instead of being added.
    """

    def __init__(self, norm_eps: float, *, first: bool) -> None:
        super().__init__()
        self.self_attn = TwoWayAttention()
        self.cross_attn_token_to_image = TwoWayAttention(2)
        self.mlp = TokenMLP()
        self.cross_attn_image_to_token = TwoWayAttention(2)
        for number in range(1, 5):
            self.add_module(f"norm{number}", LayerNorm(CHANNELS, eps=norm_eps))
        self.first = first

    def forward(
        self, tokens: Tensor, pixels: Tensor, token_places: Tensor, pixel_places: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Map tokens (N, T, 256) and pixels (N, P, 256) to the same shapes."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + token_places
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        placed_pixels = pixels + pixel_places
        tokens = tokens + self.cross_attn_token_to_image(tokens + token_places, placed_pixels, pixels)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        pixels = pixels + self.cross_attn_image_to_token(placed_pixels, tokens + token_places, tokens)
        return tokens, self.norm4(pixels)


class TwoWayTransformer(nn.Module):
    """Two blocks, and a last look of the tokens at the pixels; tokens are also their own places."""

    def __init__(self, norm_eps: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock(norm_eps, first=index == 0) for index in range(LAYERS))
        self.final_attn_token_to_image = TwoWayAttention(2)
        self.norm_final_attn = LayerNorm(CHANNELS, eps=norm_eps)

    def forward(self, prompt: Tensor, pixels: Tensor, pixel_places: Tensor) -> tuple[Tensor, Tensor]:
        """Map tokens (N, T, 256) and pixels (N, P, 256) to the same shapes."""
        tokens = prompt
        for layer in self.layers:
            tokens, pixels = layer(tokens, pixels, prompt, pixel_places)
        seen = self.final_attn_token_to_image(tokens + prompt, pixels + pixel_places, pixels)
        return self.norm_final_attn(tokens + seen), pixels


class MaskDecoder(nn.Module):
    """Four masks and the overlap each is expected to have, from the prompt's tokens and the embedding."""

    def __init__(self, norm_eps: float) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(norm_eps)
        self.iou_token = nn.Embedding(1, CHANNELS)
        self.mask_tokens = nn.Embedding(MASKS, CHANNELS)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(CHANNELS, CHANNELS // 4, 2, 2),
            ChannelNorm(CHANNELS // 4, eps=MAP_NORM_EPS),
            nn.GELU(),
            nn.ConvTranspose2d(CHANNELS // 4, CHANNELS // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP([CHANNELS, CHANNELS, CHANNELS, CHANNELS // 8]) for _ in range(MASKS)
        )
        self.iou_prediction_head = MLP([CHANNELS, CHANNELS, CHANNELS, MASKS])

    def forward(self, prompt: Tensor, embedding: Tensor, pixel_places: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, 256) and (N, 256, 64, 64) to (N, 4, 256, 256) logits and (N, 4) overlaps."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(prompt.shape[0], -1, -1), prompt], dim=1)
        pixels = embedding.flatten(2).transpose(1, 2)
        tokens, pixels = self.transformer(tokens, pixels, pixel_places)
        maps = self.output_upscaling(pixels.transpose(1, 2).reshape(embedding.shape))
        weights = [mlp(tokens[:, 1 + mask]) for mask, mlp in enumerate(self.output_hypernetworks_mlps)]
        masks = torch.matmul(torch.stack(weights, dim=1), maps.flatten(2)).unflatten(2, maps.shape[2:])
        return masks, self.iou_prediction_head(tokens[:, 0])


class Decoder(nn.Module):
    """One mask for one box per image, or three with `multimask`.

    Embedding (N, 256, 64, 64) and boxes (N, 4), as (x0, y0, x1, y1) in pixels of a 1024 x 1024 image, to
    logits (N, 1, 256, 256) and expected overlaps (N, 1).
    """

    output_names = ("low_res_masks", "iou_predictions")
    checkpoint_ignores = ("image_encoder.",)

    def __init__(self, norm_eps: float, *, multimask: bool = False) -> None:
        super().__init__()
        self.prompt_encoder = PromptEncoder()
        self.mask_decoder = MaskDecoder(norm_eps)
        self.shown = slice(1, MASKS) if multimask else slice(0, 1)

    def forward(self, image_embeddings: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        embedding = image_embeddings + self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        places = self.prompt_encoder.image_encoding()
        masks, overlaps = self.mask_decoder(self.prompt_encoder(boxes), embedding, places)
        return masks[:, self.shown], overlaps[:, self.shown]


class Hyper(Spec):
    """Hyper-parameters: `norm_eps` of the transformer's norms; three masks for one with `multimask`."""

    norm_eps: Annotated[float, Field(gt=0, lt=1)]
    multimask: bool = False


def build(spec: ModelSpec) -> nn.Module:
    """Build a decoder from its spec; `Hyper` says what `spec.hyper` holds.

    Raises:
        UsageError: a hyper-parameter is missing, unknown or out of its range, the task is another, the
            resolution is not 1024 x 1024, or an attention or way of upsampling is asked for.
    """
    hyper = read_hyper(spec, {"decoder": Hyper})
    if spec.resolution != (IMAGE_SIDE, IMAGE_SIDE):
        raise UsageError(
            f"{spec.name} takes boxes in pixels of {IMAGE_SIDE}x{IMAGE_SIDE} and nothing else",
            "leave the resolution out",
        )
    if spec.attention != spec.default_attention or spec.upsample != spec.default_upsample:
        raise UsageError(f"{spec.name} differs from the decoder in nothing", "leave out what follows the '+'")
    return Decoder(hyper.norm_eps, multimask=hyper.multimask)
