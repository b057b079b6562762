"""The two networks of Ghodrati et al., "Towards Automatic Image Editing: Learning to See Another You" (BMVC 2016).

Generation (section 3.1) turns a source image and a target attribute into a first picture; refinement (3.2) sees both
and corrects it. Shapes are channels x height x width; n_a is the number of attribute values. The paper prints
"Conv(3,3,1)" where 3 channels must come out and, between the unpoolings of the generation decoder, where one channel
would squeeze everything through one 30x30 map: that width is `NetworkConfig.middle`. ReLU follows every convolution
but the last, as the text says (two are missing from the printed lists).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.complexion import CODE, chroma_codes, complexion
from faceedit.identity import MIDDLE, IdentityNetwork

HEAD_WIDTH = 32  # channels of each attention head
LARGEST = {
    "attributes": 100,
    "hidden": 16_384,
    "middle": 1_024,
    "mixing": 64,
    "width": 2_048,
    "head": 32_768,
    "head_hidden": 32_768,
    "identity": 8_192,
}  # sizes that a network may have: ten times and more of any that was trained
MOST_SURE = 100  # times as much as an error's logarithm that an estimate may weigh
REST = 8_000_000  # weights at most of all parts whose sizes are fixed


@dataclass(frozen=True)
class NetworkConfig:
    """attributes: n_a; hidden: width of the attribute encoder's first layer; middle: channels of the generation
    decoder's second convolution (1 is the literal reading of the paper); attribute_relu: ReLU after the second
    fully connected layer, which the paper leaves open; compact: the attribute encoder's n_a possible outputs instead
    of its weights, for use but not for training.
    Beyond the paper: mixing: transformer blocks between the generation's encoder and decoder, so that every part of the
    source is seen everywhere (0: none, the paper's local network); width: of their channels; head: size of a learned
    descriptor on top of the refinement's 1 x 1 layer (0: the layer itself, 28,800 values); head_hidden: units of a
    hidden layer beside the head's last one, which sees the same (0: none); identity: size of the identity network's
    part of the descriptor (0: no such network); candidate: share of the descriptor's squared length
    that says which value the picture has (0: none); share: the identity part's share of the rest; colour: the share of
    all that says which colour the face has (0: none); skip: the refinement's picture is the generation's plus a
    correction; look_back: the head also sees what the identity network saw in the source; estimate: how much an
    estimate of the value, from what the identity network saw, weighs against the reconstruction errors when the value
    of a picture is decided (0: there is none); soft: what a described picture's descriptor says of its value is as sure
    as that estimate, weighed so (a smaller weight: less sure), instead of what was decided; needs it and a share for
    candidate; flow: stage one says where each pixel lies in the source instead of painting it, and stage two sees what
    was moved; needs mixing and skip; still: what it shows lies where it lies in the source, so that only mirrored
    places are moved to, and how much brighter it becomes is said of each pixel; kept: what stage one takes from the
    source stays as it is, to the bit, in both stages, and stage two changes the rest alone; needs still."""

    attributes: int = 7
    hidden: int = 512
    middle: int = 64
    attribute_relu: bool = False
    compact: bool = False
    mixing: int = 0
    width: int = 128
    head: int = 0
    head_hidden: int = 0
    identity: int = 0
    share: float = 0.5
    candidate: float = 0.0
    colour: float = 0.0
    skip: bool = False
    look_back: bool = False
    estimate: float = 0.0
    soft: bool = False
    flow: bool = False
    still: bool = False
    kept: bool = False

    def __post_init__(self) -> None:
        for name, most in LARGEST.items():
            if getattr(self, name) > most:
                raise ValueError(f"{name} is over {most:,}, the most that a network may have")
        if min(self.attributes, self.hidden, self.middle) < 1:
            raise ValueError(f"network sizes must be at least 1, got {self._said('attributes', 'hidden', 'middle')}")
        if min(self.mixing, self.head, self.head_hidden, self.identity) < 0:
            said = self._said("mixing", "head", "head_hidden", "identity")
            raise ValueError(f"mixing, head, head_hidden and identity must be 0 or more, got {said}")
        if self.head_hidden and not self.head:
            raise ValueError(f"head_hidden needs a head, got {self._said('head', 'head_hidden')}")
        if self.width < HEAD_WIDTH or self.width % HEAD_WIDTH:
            raise ValueError(f"width must be a multiple of {HEAD_WIDTH}, got {self.width}")
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be in 0..1, got {self.share}")
        for name in ("candidate", "colour"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be 0 or more and below 1, got {getattr(self, name)}")
        if self.look_back and not (self.head and self.identity):
            raise ValueError(f"look_back needs a head and an identity network, got {self._said('head', 'identity')}")
        if not 0 <= self.estimate <= MOST_SURE or (self.estimate and not self.identity):
            said = self._said("estimate", "identity")
            raise ValueError(f"estimate must be 0 to {MOST_SURE} and needs an identity network, got {said}")
        if self.soft and not (self.estimate and self.candidate):
            raise ValueError(
                f"soft needs an estimate and a share for candidate, got {self._said('estimate', 'candidate')}"
            )
        if self.flow and not (self.mixing and self.skip):
            raise ValueError(f"flow needs mixing and skip, got {self._said('mixing', 'skip')}")
        if (self.still and not self.flow) or (self.kept and not self.still):
            raise ValueError(f"still needs flow, and kept needs still, got {self._said('flow', 'still', 'kept')}")

    def _said(self, *names: str) -> str:
        return ", ".join(f"{name} {getattr(self, name)}" for name in names)

    @property
    def least_weights(self) -> int:
        """How many numbers the parts hold whose size is chosen; with all others, REST more at most."""
        encoder = self.attributes * 900 * (self.attributes if self.compact else self.hidden)
        mixed = (225 * self.attributes + 10 * self.mixing * self.width) * self.width
        return (
            (mixed if self.mixing else encoder)
            + (0 if self.flow else 1152 * self.middle)
            + 4096 * (self.head + self.head_hidden + self.identity + (self.attributes if self.estimate else 0))
            + self.head_hidden * self.head
        )

    @property
    def maps(self) -> int:
        """Channels of what stage one makes: its picture, and where pixels are moved what that is blended of."""
        return FLOW_MAPS if self.flow else 3


SIZE = 60  # pixels of an image's side
FLOW_MAPS = 12  # the picture, the source as both flows move it, and three weights
DESCRIPTOR_SHAPE = (128, 15, 15)
DESCRIPTOR_SIZE = 128 * 15 * 15  # 28,800


def convolution(inputs: int, outputs: int, size: int = 3) -> nn.Conv2d:
    """A convolution that keeps height and width."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2)


class UnpoolConvolution(nn.Module):
    """Unpool(2, 2), then a 3x3 convolution: C x h x w -> outputs x 2h x 2w.

    Unpooling puts each value at the top-left of a 2x2 block of zeros. A convolution over that grid is a transposed
    convolution of stride 2 with the flipped kernel, which skips the multiplications by those zeros.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = convolution(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.convolution.weight.flip(2, 3).transpose(0, 1)
        return F.conv_transpose2d(x, kernel, self.convolution.bias, stride=2, padding=1, output_padding=1)


def rectified(layer: nn.Module) -> tuple[nn.Module, nn.ReLU]:
    """A layer and the ReLU after it: two places of a Sequential on one line."""
    return layer, nn.ReLU()


class ImageEncoder(nn.Sequential):
    """channels x60x60 -> 64x30x30"""

    def __init__(self, channels: int) -> None:
        super().__init__(
            *rectified(convolution(channels, 64)),  # 64x60x60
            *rectified(convolution(64, 64)),  # 64x60x60
            nn.MaxPool2d(2),  # 64x30x30
        )

    def near(self, x: Tensor) -> Tensor:
        """64x60x60: before the pooling, the last layer."""
        for layer in list(self)[:-1]:
            x = layer(x)
        return x


class AttributeEncoder(nn.Module):
    """n_a -> n_a x30x30. A one-hot input has only n_a outputs, so `maps` computes them all at once."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        n = config.attributes
        self.layers = nn.Sequential(
            *rectified(nn.Linear(n, config.hidden)),  # 512
            nn.Linear(config.hidden, 900 * n),  # 900 n_a
            nn.ReLU() if config.attribute_relu else nn.Identity(),
        )

    def forward(self, attribute: Tensor) -> Tensor:
        """attribute: (B, n_a) one-hot -> (B, n_a, 30, 30)"""
        return self.layers(attribute).view(len(attribute), -1, 30, 30)  # type: ignore[no-any-return]

    def maps(self) -> Tensor:
        """(n_a, n_a, 30, 30): the output for every attribute value, always in full precision."""
        weight = self.layers[0].weight
        assert isinstance(weight, Tensor)
        with torch.autocast(weight.device.type, enabled=False):
            return self(torch.eye(weight.shape[1], device=weight.device, dtype=weight.dtype))  # type: ignore[no-any-return]


class AttributeMaps(nn.Module):
    """What an attribute encoder gives for each of its n_a one-hot inputs, as a table (n_a, n_a, 30, 30)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        n = config.attributes
        self.table = nn.Parameter(torch.zeros(n, n, 30, 30))

    def forward(self, attribute: Tensor) -> Tensor:
        """attribute: (B, n_a) one-hot -> (B, n_a, 30, 30)"""
        return self.table[attribute.argmax(1)]

    def maps(self) -> Tensor:
        """(n_a, n_a, 30, 30): the output for every attribute value."""
        return self.table


class Fusion(nn.Module):
    """64x30x30 image features and n_a x30x30 attribute features -> 128x15x15.

    The first convolution over the concatenation is the sum of one over each half, so each half is computed once and
    every source is combined with every target by addition.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.first = convolution(64 + config.attributes, 128)
        self.rest = nn.Sequential(
            nn.ReLU(),  # 128x30x30
            *rectified(convolution(128, 128)),  # 128x30x30
            nn.MaxPool2d(2),  # 128x15x15
            *rectified(convolution(128, 128, 1)),  # 128x15x15
        )

    def image_half(self, features: Tensor) -> Tensor:
        """(B, 64, 30, 30) -> (B, 128, 30, 30)"""
        return F.conv2d(features, self.first.weight[:, :64], padding=1)

    def attribute_half(self, maps: Tensor) -> Tensor:
        """(B, n_a, 30, 30) -> (B, 128, 30, 30), with the bias"""
        return F.conv2d(maps, self.first.weight[:, 64:], self.first.bias, padding=1)

    def forward(self, features: Tensor, maps: Tensor) -> Tensor:
        return self.rest(self.image_half(features) + self.attribute_half(maps))  # type: ignore[no-any-return]


class GenerationDecoder(nn.Sequential):
    """inputs x15x15 -> 3x60x60"""

    def __init__(self, config: NetworkConfig, inputs: int = 128) -> None:
        super().__init__(
            *rectified(UnpoolConvolution(inputs, 64)),  # 64x30x30
            *rectified(convolution(64, config.middle)),  # middle x30x30
            *rectified(UnpoolConvolution(config.middle, 64)),  # 64x60x60
            convolution(64, 3),  # 3x60x60
        )


class GenerationNetwork(nn.Module):
    """Stage one, Y1 = G(X, C): X (B, 3, 60, 60) normalised, C (B, n_a) one-hot -> (B, 3, 60, 60)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoder(3)
        self.attribute_encoder = AttributeMaps(config) if config.compact else AttributeEncoder(config)
        self.fusion = Fusion(config)
        self.decoder = GenerationDecoder(config)

    def forward(self, source: Tensor, attribute: Tensor) -> Tensor:
        maps = self.attribute_encoder(attribute)
        return self.decoder(self.fusion(self.image_encoder(source), maps))  # type: ignore[no-any-return]

    def many(self, source: Tensor, targets: Tensor) -> Tensor:
        """Several targets of each source with one pass of the image encoder.

        source: (B, 3, 60, 60); targets: (B, K) int64 positions of attribute values -> (B * K, 3, 60, 60), the K
        pictures of a source side by side. Equal to `forward` on every pair.
        """
        image = self.fusion.image_half(self.image_encoder(source))  # (B, 128, 30, 30)
        attribute = self.fusion.attribute_half(self.attribute_encoder.maps())  # (n_a, 128, 30, 30)
        fused = (image[:, None] + rows_of(attribute, targets)).flatten(0, 1)  # (B K, 128, 30, 30)
        fused = fused.contiguous(memory_format=torch.channels_last)
        return self.decoder(self.fusion.rest(fused))  # type: ignore[no-any-return]


TOKENS = 15 * 15  # the places of the innermost map


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention, (B, heads, tokens, width) each. PyTorch's fused one has a backward pass that is twice as slow
    on a processor as the plain formula's."""
    if q.is_cuda or not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v)
    return torch.matmul(torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2)).softmax(-1), v)


class Block(nn.Module):
    """A pre-norm transformer block (Vaswani et al. 2017; Xiong et al. 2020): (B, 225, width) -> the same."""

    def __init__(self, width: int, spread: int = 3) -> None:
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, spread * width), nn.GELU(), nn.Linear(spread * width, width))

    def forward(self, x: Tensor) -> Tensor:
        b, n, width = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(b, n, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, 225, HEAD_WIDTH)
        seen = _attention(q, k, v).transpose(1, 2).reshape(b, n, width)
        x = x + self.out(seen)
        return x + self.mlp(self.norm_mlp(x))  # type: ignore[no-any-return]


class MixingGenerationNetwork(nn.Module):
    """Stage one with global mixing, Y1 = G(X, C): the paper's encoder and decoder, and between them transformer blocks
    over the 225 places of the innermost map. The attribute is a learned map that is added there.

    The paper's network sees 28 x 28 of 60 x 60 pixels: it cannot carry an eye or a lamp's colour across the face, and
    learns a fixed background by heart.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.image_encoder = ImageEncoder(3)  # 64x30x30
        self.inner = nn.Sequential(
            *rectified(convolution(64, 128)),  # 128x30x30
            *rectified(convolution(128, 128)),  # 128x30x30
            nn.MaxPool2d(2),  # 128x15x15
            convolution(128, width, 1),  # width x15x15
        )
        self.places = nn.Parameter(torch.zeros(TOKENS, width))
        self.attributes = nn.Parameter(torch.zeros(config.attributes, TOKENS, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(config.mixing))
        self.norm = nn.LayerNorm(width)
        self.decoder: GenerationDecoder | FlowDecoder = GenerationDecoder(config, width)

    def forward(self, source: Tensor, attribute: Tensor) -> Tensor:
        return self.many(source, attribute.argmax(1, keepdim=True))

    def many(self, source: Tensor, targets: Tensor) -> Tensor:
        """As `GenerationNetwork.many`."""
        return self.decoder(self.mixed(self.image_encoder(source), targets))  # type: ignore[no-any-return]

    def mixed(self, features: Tensor, targets: Tensor) -> Tensor:
        """What the decoder gets of each source, as the image encoder sees it (B, 64, 30, 30), under its targets,
        (B K, width, 15, 15)."""
        encoded = self.inner(features).flatten(2).transpose(1, 2) + self.places  # (B, 225, width)
        tokens = (encoded[:, None] + rows_of(self.attributes, targets)).flatten(0, 1)  # (B K, 225, width)
        for block in self.blocks:
            tokens = block(tokens)
        mixed = self.norm(tokens).transpose(1, 2).reshape(-1, self.config.width, 15, 15)
        return mixed.contiguous(memory_format=torch.channels_last)  # type: ignore[no-any-return]


class Moved(NamedTuple):
    """What stage one says of N pictures, where it moves pixels. maps (N, 12, 60, 60): Y1, the source as each of the two
    flows moves it, and the weights of these and of a painted colour; flow, mirrored (N, 60, 60, 2): where each pixel
    lies in the source, and where its mirror image on the other half of the face does, across and down, -1..1 from
    border to border; scores (N, 3, 60, 60): logits of the weights."""

    maps: Tensor
    flow: Tensor
    mirrored: Tensor
    scores: Tensor

    @property
    def picture(self) -> Tensor:
        """Y1, (N, 3, 60, 60)."""
        return self.maps[:, :3]


class FlowDecoder(nn.Module):
    """inputs x15x15 -> 13x60x60: two flows, three scores, a colour, and the logarithm of how much brighter each colour
    becomes. A flow is smooth, so the last doubling is only of places: four neighbouring pixels are channels of one
    place (Shi et al., CVPR 2016). Light is smoother still: it is said of 15x15 places; but where the task is to change
    it (still), of each pixel too, and the first flow is none. Where nothing moves, what is said of a pixel depends on
    that pixel: shadows and what hides a face have edges, which the encoder saw (near, 64x60x60)."""

    def __init__(self, inputs: int, still: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *rectified(UnpoolConvolution(inputs, 64)),  # 64x30x30
            *rectified(convolution(64, 64)),  # 64x30x30
            convolution(64, 4 * (STILL if still else MOVING)),
            nn.PixelShuffle(2),  # 10x60x60, or 11x60x60
        )
        self.light = convolution(inputs, 3)  # 3x15x15
        self.near = nn.Sequential(*rectified(convolution(64 + STILL, 32)), convolution(32, STILL)) if still else None

    def forward(self, mixed: Tensor, near: Tensor | None = None) -> Tensor:
        said = self.layers(mixed)
        if self.near is not None:
            assert near is not None
            said = said + self.near(torch.cat([near, said], 1))
        return joined(said, self.light(mixed))


SHARED = 8  # of what is said of each pixel: where its mirror image lies, scores, a colour
MOVING, STILL = 2 + SHARED, SHARED + 3  # after another flow; before light


def joined(said: Tensor, light: Tensor) -> Tensor:
    """What is said of each pixel (N, 10 or 11, 60, 60) and of the light (N, 3, 15, 15) -> (N, 13, 60, 60), single
    precision."""
    brighter = F.interpolate(light.float(), size=said.shape[-2:], mode="bilinear", align_corners=False)
    if said.shape[1] == MOVING:
        return torch.cat([said.float(), brighter], 1)
    said = said.float()
    return torch.cat([torch.zeros_like(said[:, :2]), said[:, :SHARED], said[:, SHARED:] + brighter], 1)


class FlowGenerationNetwork(MixingGenerationNetwork):
    """Stage one that moves pixels (appearance flow: Zhou et al., ECCV 2016; Park et al., CVPR 2017): for every pixel of
    the target where it lies in the source, where its mirror image does, since faces are nearly symmetric, and a colour
    for what neither shows; Y1 is their blend. The same encoder and mixing; it copies the person instead of painting an
    average one."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.decoder = FlowDecoder(config.width, config.still)
        self.black = nn.Parameter(torch.full((3,), -2.0))  # light multiplies what is brighter than this
        self.register_buffer("grid", pixel_grid(), persistent=False)

    def many(self, source: Tensor, targets: Tensor) -> Tensor:
        """`moved(source, targets).maps`, (B K, 12, 60, 60), of which the first three channels are Y1."""
        return self.moved(source, targets).maps

    def moved(self, source: Tensor, targets: Tensor) -> Moved:
        """source: (B, 3, 60, 60) normalised; targets: (B, K) positions of attribute values; the K of a source side by
        side."""
        near = self.image_encoder.near(source)
        mixed = self.mixed(self.image_encoder[-1](near), targets)
        if self.config.still:
            said = self.decoder(mixed, near.repeat_interleave(targets.shape[1], 0))
            return blended(source.float(), said, self.grid, self.black, self.config.kept)
        return blended(sharpened(source.float()), self.decoder(mixed), self.grid, self.black)

    grid: Tensor


_REACH = 0.5  # of the flows' numbers: half a picture's half
_BRIGHTEST = 1.2  # of the logarithm of a gain: 3.3 times
COLOUR, LIGHT = 7, 10  # where a decoder's colour begins, after two flows and three scores; and its light


def blended(source: Tensor, said: Tensor, grid: Tensor, black: Tensor, kept: bool = False) -> Moved:
    """What stage one's decoder said, (B K, 13, 60, 60), applied to the `sharpened` sources (B, 3, 60, 60), which are
    not sharpened where nothing but mirrored places moves, in single precision. black (3,): the normalised values of
    black. kept: pixels of the source that are not `invented` stay as they are; the rest is made of the others, and the
    colour is said of what is around instead of black."""
    flow, mirrored = (grid + _REACH * said[:, i : i + 2].permute(0, 2, 3, 1) for i in (0, 2))
    gain, dark = said[:, LIGHT:].clamp(-_BRIGHTEST, _BRIGHTEST).exp(), black[:, None, None]
    moved = [(part - dark) * gain + dark for part in moved_twice(source, flow, mirrored)]
    weights = said[:, 4:COLOUR].softmax(1)
    if kept:
        moved[0] = source.repeat_interleave(len(said) // len(source), 0)
        others, new = said[:, 5:COLOUR].softmax(1), invented(weights)
        seen = ~_spread(new)  # the edge of what hides a face is mixed with it
        seen = seen | ~seen.flatten(1).any(1).view(-1, 1, 1, 1)  # where all is hidden there is nothing else
        around = filled(moved[0], seen.to(source.dtype))
        made = others[:, :1] * moved[1] + others[:, 1:] * (around + said[:, COLOUR:LIGHT])
        picture = torch.where(new, made, moved[0])
    else:
        parts = (*moved, said[:, COLOUR:LIGHT])
        picture = sum((weights[:, i : i + 1] * part for i, part in enumerate(parts)), torch.zeros_like(parts[0]))
    return Moved(torch.cat([picture, *moved, weights], 1), flow, mirrored, said[:, 4:COLOUR])


def filled(pictures: Tensor, seen: Tensor) -> Tensor:
    """Pictures (N, C, H, W) where they are seen (N, 1, H, W), 0..1, and the smooth colours of what is around elsewhere:
    each pixel from pictures of half the size, and so on (push and pull: Gortler et al., SIGGRAPH 1996)."""
    if max(seen.shape[-2:]) <= 2:
        return pictures * seen + (1 - seen) * (pictures * seen).sum((2, 3), True) / seen.sum((2, 3), True).clamp_min(
            1e-6
        )
    share = F.avg_pool2d(seen, 2, ceil_mode=True, count_include_pad=False)
    halved = F.avg_pool2d(pictures * seen, 2, ceil_mode=True, count_include_pad=False) / share.clamp_min(1e-6)
    below = filled(halved, (2 * share).clamp_max(1))
    return pictures * seen + (1 - seen) * F.interpolate(below, size=seen.shape[-2:], mode="bilinear")


def invented(weights: Tensor) -> Tensor:
    """(N, 1, H, W) bool: where the source's own pixel counts for less than half, of weights (N, 3, H, W); and beside
    such pixels where it counts for less than 0.9, since the edge of what hides a face is the hardest to say."""
    own = weights[:, :1]
    sure = own < 0.5
    return sure | (_spread(sure) & (own < _SURE))


_SURE = 0.9  # chosen by renders of people who were not learnt from


def _spread(where: Tensor) -> Tensor:
    """The same (N, 1, H, W) bool and what lies beside, by a pixel of 60."""
    beside = where.shape[-1] // SIZE
    return F.max_pool2d(where.float(), 2 * beside + 1, 1, beside) > 0


_LOST = 0.5  # sampling between pixels keeps 2 / pi of the finest waves, on average: they are made 1.5 times as strong


def sharpened(pictures: Tensor) -> Tensor:
    """Pictures (B, C, H, W) that are to be moved: an unsharp mask (binomial, 3 x 3) gives the finest waves beforehand
    what bilinear sampling takes from them."""
    line = torch.tensor([1.0, 2, 1], device=pictures.device) / 4
    kernel = (line[:, None] * line).expand(pictures.shape[1], 1, 3, 3)
    soft = F.conv2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), kernel, groups=pictures.shape[1])
    return pictures + _LOST * (pictures - soft)


def moved_twice(source: Tensor, flow: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
    """The sources (B, C, H, W) as both flows (B K, h, w, 2) move them, (B K, C, h, w) each. All flows of a source are
    one tall grid, so that the source need not be repeated."""
    (b, c), (n, h, w, _) = source.shape[:2], flow.shape
    tall = torch.stack([flow, mirrored], 1).reshape(b, n // b * 2 * h, w, 2)
    made = F.grid_sample(source, tall, padding_mode="border", align_corners=False)
    first, second = made.view(b, c, n // b, 2, h, w).permute(3, 0, 2, 1, 4, 5).reshape(2, n, c, h, w)
    return first, second


def pixel_grid(size: int = SIZE) -> Tensor:
    """(size, size, 2) where each pixel's middle lies, across and down, -1..1 from border to border."""
    axis = (torch.arange(size) + 0.5) * 2 / size - 1
    down, across = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([across, down], -1)


Generation = GenerationNetwork | MixingGenerationNetwork  # or FlowGenerationNetwork, which is one that mixes


class RefinementEncoder(nn.Module):
    """[X, what stage one made] channels x60x60 -> the descriptor layer 128x15x15"""

    def __init__(self, channels: int = 6) -> None:
        super().__init__()
        self.image_encoder = ImageEncoder(channels)  # 64x30x30
        self.rest = nn.Sequential(
            *rectified(convolution(64, 128)),  # 128x30x30
            *rectified(convolution(128, 128)),  # 128x30x30
            nn.MaxPool2d(2),  # 128x15x15
            *rectified(convolution(128, 128, 1)),  # 128x15x15, the descriptor
        )

    def forward(self, pair: Tensor) -> Tensor:
        return self.rest(self.image_encoder(pair))  # type: ignore[no-any-return]

    def near(self, pair: Tensor) -> Tensor:
        """64x60x60: the first layer alone, which sees 3 x 3 pixels."""
        return F.relu(self.image_encoder[0](pair))


class RefinementDecoder(nn.Sequential):
    """128x15x15 -> 3x60x60"""

    def __init__(self) -> None:
        super().__init__(
            *rectified(UnpoolConvolution(128, 128)),  # 128x30x30
            *rectified(convolution(128, 64)),  # 64x30x30
            *rectified(UnpoolConvolution(64, 64)),  # 64x60x60
            convolution(64, 3),  # 3x60x60
        )


class DetailDecoder(nn.Module):
    """128x15x15, and 64x60x60 of the encoder's first layer -> 5x60x60: a colour to add, and how much of each moved
    source to take instead of stage one's blend (`corrected`). What is sharp need not pass the descriptor."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Sequential(
            *rectified(UnpoolConvolution(128, 128)),  # 128x30x30
            *rectified(convolution(128, 64)),  # 64x30x30
            *rectified(UnpoolConvolution(64, 32)),  # 32x60x60
        )
        self.last = convolution(32 + 64, 3 + 2)  # 5x60x60

    def forward(self, features: Tensor, near: Tensor) -> Tensor:
        return self.last(torch.cat([self.up(features), near], 1))  # type: ignore[no-any-return]


class RefinementNetwork(nn.Module):
    """Stage two, Y2 = R(X, Y1): two (B, 3, 60, 60) -> (B, 3, 60, 60); with `skip`, Y1 and a correction. Where stage one
    moves pixels (maps: 12), it sees the moved sources and the weights too."""

    def __init__(self, skip: bool = False, maps: int = 3, kept: bool = False) -> None:
        super().__init__()
        self.skip, self.kept = skip, kept
        self.encoder = RefinementEncoder(3 + maps)
        self.decoder = RefinementDecoder() if maps == 3 else DetailDecoder()

    def begin_without_correction(self) -> None:
        """Make the decoder's picture nothing, so that with `skip` training begins with Y2 = Y1."""
        assert self.last.bias is not None
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @property
    def last(self) -> nn.Conv2d:
        """The decoder's last layer."""
        last = self.decoder.last if isinstance(self.decoder, DetailDecoder) else self.decoder[-1]
        assert isinstance(last, nn.Conv2d)
        return last

    def features(self, source: Tensor, generated: Tensor) -> Tensor:
        """The descriptor layer's activation, (B, 128, 15, 15), of X and what stage one made (B, maps, 60, 60)."""
        return self.encoder(torch.cat([source, generated], 1))  # type: ignore[no-any-return]

    def picture(self, features: Tensor, generated: Tensor, source: Tensor | None = None) -> Tensor:
        """Y2 of the descriptor layer's activation and what stage one made; and X, where pixels were moved."""
        if isinstance(self.decoder, DetailDecoder):
            assert source is not None
            said = self.decoder(features, self.encoder.near(torch.cat([source, generated], 1)))
            return corrected(said.float(), generated.float(), self.kept)
        made: Tensor = self.decoder(features)
        return made.float() + generated[:, :3].float() if self.skip else made

    def forward(self, source: Tensor, generated: Tensor) -> Tensor:
        return self.picture(self.features(source, generated), generated, source)


def corrected(said: Tensor, maps: Tensor, kept: bool = False) -> Tensor:
    """Y2 (N, 3, 60, 60): what stage one made (N, 12, 60, 60), corrected as stage two's decoder says (N, 5, 60, 60);
    kept: where stage one `invented` it alone."""
    first, moved, mirrored = maps[:, :3], maps[:, 3:6], maps[:, 6:9]
    instead, other = (said[:, i : i + 1].tanh() for i in (3, 4))
    made: Tensor = first + said[:, :3] + instead * (moved - first) + other * (mirrored - first)
    return torch.where(invented(maps[:, 9:]), made, moved) if kept else made


_SEEN = 256 * 16  # numbers that the head's last layer sees


class DescriptorHead(nn.Module):
    """The descriptor layer 128x15x15, and maybe as much from the source -> a learned descriptor of `size` values, the
    sum of what its last layer says and, maybe, what `hidden` units beside it do."""

    def __init__(self, size: int, look_back: bool, hidden: int = 0) -> None:
        super().__init__()
        self.size = size
        self.layers = nn.Sequential(
            *rectified(nn.Conv2d(128 + (MIDDLE if look_back else 0), 128, 3, stride=2, padding=1)),  # 128x8x8
            *rectified(nn.Conv2d(128, 256, 3, stride=2, padding=1)),  # 256x4x4
            nn.Flatten(),
            nn.Linear(_SEEN, size),
        )
        self.beside = nn.Sequential(*rectified(nn.Linear(_SEEN, hidden)), nn.Linear(hidden, size)) if hidden else None

    def forward(self, features: Tensor) -> Tensor:
        return self.said(self.hidden(features))

    def said(self, hidden: Tensor) -> Tensor:
        """Of what the last layer, and the one beside it, see (B, 4096), the descriptors (B, size)."""
        said: Tensor = reduce(torch.add, (end(hidden) for end in self.ends))
        return said

    @property
    def ends(self) -> list[nn.Module]:
        """What makes descriptors of what is seen, each its part of the sum."""
        return [self.last] if self.beside is None else [self.last, self.beside]

    def hidden(self, features: Tensor) -> Tensor:
        """What the last layer sees (B, 4096)."""
        return self.layers[:-1](features)  # type: ignore[no-any-return]

    @property
    def lasts(self) -> list[nn.Linear]:
        """The last layer, and that of the hidden units beside it."""
        lasts = [layers[-1] for layers in (self.layers, self.beside) if layers is not None]
        return [last for last in lasts if isinstance(last, nn.Linear)]

    @property
    def last(self) -> nn.Linear:
        """The last layer."""
        return self.lasts[0]

    def transform(self, by: Tensor) -> None:
        """Multiply all descriptors from now on by (size, size), as part of the last layers."""
        with torch.no_grad():
            for last in self.lasts:
                last.weight.copy_(by @ last.weight.to(by.dtype))
                last.bias.copy_(by @ last.bias.to(by.dtype))


class ValueEstimator(nn.Module):
    """What the identity network saw half-way, 128x15x15 -> a score of each of n_a attribute values."""

    def __init__(self, attributes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *rectified(nn.Conv2d(MIDDLE, 64, 3, stride=2, padding=1)),  # 64x8x8
            nn.Flatten(),
            nn.Linear(64 * 64, attributes),
        )

    def forward(self, seen: Tensor) -> Tensor:
        return self.layers(seen)  # type: ignore[no-any-return]


class Describer(nn.Module):
    """What a picture under a candidate value is searched by: the paper's descriptor, or a learned one of three parts:
    who the identity network took the source for, what a head makes of the refinement's descriptor layer (and of what
    the identity network saw half-way), and the value itself; and maybe the colour of the face (`tinted`)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.share, self.candidate, self.look_back = config.share, config.candidate, config.look_back
        self.soft, self.colour = config.soft, config.colour
        self.register_buffer("codes", _codes(config.attributes), persistent=False)
        self.head = DescriptorHead(config.head, config.look_back, config.head_hidden) if config.head else None
        self.identity = IdentityNetwork(config.identity) if config.identity else None
        self.estimate_weight = config.estimate
        self.estimator = ValueEstimator(config.attributes) if config.estimate else None

    def estimate(self, source: Tensor) -> Tensor | None:
        """Logarithm of how probable each value is (B, n_a), of normalised sources (B, 3, 60, 60), times the weight that
        it has against the logarithm of the reconstruction error. None: there is no estimator."""
        if self.estimator is None or self.identity is None:
            return None
        scores: Tensor = self.estimator(self.identity.half_way(source))
        return self.estimate_weight * scores.float().log_softmax(1)

    def forward(self, features: Tensor, source: Tensor, values: Tensor) -> Tensor:
        """The descriptor layer's activation (B K, 128, 15, 15) of the normalised sources (B, 3, 60, 60) under values
        (B, K), positions in the attribute space, side by side -> (B K, D)."""
        seen = None if self.identity is None else self.identity.features(source)
        who = None
        if self.identity is not None:
            who = self.identity.both(source, seen).repeat_interleave(values.shape[1], 0)
        refined = self.refined(features, None if seen is None else seen.middle)
        return self.joined(refined, who, self.code(values.flatten()))

    def code(self, values: Tensor, estimate: Tensor | None = None) -> Tensor:
        """(B, n_a) of length 1, or (B, 0) where descriptors do not say their value. values (B,): asked for, or decided;
        estimate (B, n_a): of a picture that is described, weighed as `estimate` has it. Where that counts (`soft`), a
        picture between two poses says of both that it is near, as sure as the estimate is where the value is decided
        (soft assignment, Philbin et al., CVPR 2008)."""
        if self.candidate == 0:
            return self.codes.new_zeros(len(values), 0)
        if estimate is None or not self.soft:
            return self.codes[values]
        return F.normalize(estimate.float().softmax(1) @ self.codes, dim=1)

    def joined(self, refined: Tensor, who: Tensor | None, code: Tensor) -> Tensor:
        """One descriptor (B, D) of its parts: of the refinement, the identity network's (B, I), and the `code`."""
        if who is not None:
            refined = torch.cat([math.sqrt(self.share) * who, math.sqrt(1 - self.share) * refined], 1)
        if self.candidate == 0:
            return refined
        return torch.cat([math.sqrt(1 - self.candidate) * refined, math.sqrt(self.candidate) * code], 1)

    def tinted(self, described: Tensor, pictures: Tensor) -> Tensor:
        """Descriptors (B, D') with the colour of the faces described, on pictures (B, 3, 60, 60) of 0..255, where
        that is a part of them: (B, D)."""
        if self.colour == 0:
            return described
        code = chroma_codes(complexion(pictures))
        return torch.cat([math.sqrt(1 - self.colour) * described, math.sqrt(self.colour) * code], 1)

    def refined(self, features: Tensor, middle: Tensor | None) -> Tensor:
        """The part that comes of the refinement, of length 1 (B K, D'): the descriptor layer's activation
        (B K, 128, 15, 15) itself or its head. middle: what the identity network saw half-way in the sources, (B, 128,
        15, 15); the head that looks back needs it."""
        if self.head is None:
            return descriptor(features)
        return F.normalize(self.head(self.seen(features, middle)).float(), dim=1)

    def seen(self, features: Tensor, middle: Tensor | None) -> Tensor:
        """What the head sees (B K, C, 15, 15), of the same as `refined`."""
        if not self.look_back:
            return features
        assert middle is not None
        repeated = middle.repeat_interleave(len(features) // len(middle), 0)
        return torch.cat([features, repeated.to(features.dtype)], 1)

    @property
    def size(self) -> int:
        """D: values in a descriptor."""
        seen = DESCRIPTOR_SIZE if self.head is None else self.head.size
        value = len(self.codes) if self.candidate else 0
        return seen + (0 if self.identity is None else self.identity.size) + value + (CODE if self.colour else 0)

    codes: Tensor


def _codes(attributes: int) -> Tensor:
    """(n_a, n_a) a row of length 1 for each value: neighbouring values are alike, since a candidate is an estimate."""
    steps = torch.arange(attributes).float()
    return F.normalize(torch.exp(-((steps[:, None] - steps) ** 2) / 2), dim=1)


def rows_of(table: Tensor, rows: Tensor) -> Tensor:
    """`table[rows]`, with a gradient that is summed in the same order every time."""
    return F.embedding(rows, table.flatten(1)).view(*rows.shape, *table.shape[1:])


def descriptor(features: Tensor) -> Tensor:
    """L2-normalised descriptors (B, 28800) of the descriptor layer's activation (B, 128, 15, 15)."""
    return F.normalize(features.float().flatten(1), dim=1)


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """He initialisation (He et al., ICCV 2015; the paper's [8]): normal of variance 2 / fan-in, zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, MixingGenerationNetwork):
            nn.init.normal_(module.places, std=0.02, generator=generator)
            nn.init.normal_(module.attributes, std=0.02, generator=generator)
    for head in (m for m in network.modules() if isinstance(m, DescriptorHead)):
        if head.beside is not None:  # which begins with nothing
            nn.init.zeros_(head.lasts[1].weight)
    for decoder in (m for m in network.modules() if isinstance(m, FlowDecoder)):
        with torch.no_grad():  # training begins with pixels that stay about where they are
            last = decoder.layers[4]
            assert isinstance(last, nn.Conv2d)
            last.weight.mul_(0.1)
            decoder.light.weight.mul_(0.1)
            if decoder.near is not None:
                corrects = decoder.near[-1]
                assert isinstance(corrects, nn.Conv2d)
                corrects.weight.zero_()


def compact(generation: GenerationNetwork) -> GenerationNetwork:
    """The same function with the attribute encoder's outputs in place of its weights (3.2 of 3.67 million values for
    seven poses)."""
    smaller = GenerationNetwork(replace(generation.config, compact=True))
    state = {k: v for k, v in generation.state_dict().items() if not k.startswith("attribute_encoder.")}
    with torch.no_grad():
        state["attribute_encoder.table"] = generation.attribute_encoder.maps()
    smaller.load_state_dict(state)
    return smaller.train(generation.training)


def expand(generation: GenerationNetwork) -> GenerationNetwork:
    """The reverse of `compact`, to train on: attribute weights that give the table's maps, as many ways as there are.

    The first layer is initialised anew (He); the second is the solution of least norm.
    """
    config = replace(generation.config, compact=False)
    full = GenerationNetwork(config)
    initialise(full.attribute_encoder, torch.Generator().manual_seed(0))
    state = {k: v for k, v in generation.state_dict().items() if not k.startswith("attribute_encoder.")}
    full.load_state_dict(state, strict=False)
    assert isinstance(full.attribute_encoder, AttributeEncoder)
    first, second = full.attribute_encoder.layers[0], full.attribute_encoder.layers[2]
    assert isinstance(first, nn.Linear) and isinstance(second, nn.Linear)
    with torch.no_grad():
        hidden = F.relu(first(torch.eye(config.attributes))).double()  # (n_a, hidden), of rank n_a
        maps = generation.attribute_encoder.maps().flatten(1).double()  # (n_a, 900 n_a)
        second.weight.copy_((torch.linalg.pinv(hidden) @ maps).T.float())
    return full.train(generation.training)


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
