"""The networks as they run: the same weights, with everything computed once that is the same for all candidates.

What is folded, each exactly (up to rounding): the attribute branch has only n_a outputs, so its share of the first
fusion convolution is a table of n_a bias maps; a source is encoded once for all its candidates, in both stages;
unpooling and a 3 x 3 convolution are one transposed convolution; batch normalisation is part of the convolution before
it; ReLU is applied where the convolution writes. Weights are converted to the precision of the machine once.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.devices import has_bf16
from faceedit.folding import Convolution, Step, folded, run
from faceedit.modelfile import Networks
from faceedit.networks import (
    Describer,
    DetailDecoder,
    FlowDecoder,
    FlowGenerationNetwork,
    GenerationNetwork,
    MixingGenerationNetwork,
    RefinementNetwork,
    blended,
    corrected,
    joined,
    sharpened,
)

_LAST = torch.channels_last


@dataclass(frozen=True)
class Prepared:
    """What is known of B sources before a candidate is chosen. source: themselves, ready to be moved, where pixels are
    moved; encoded: by the generation network; near (B, 64, 60, 60): what that saw of each pixel, where nothing moves;
    half (B, 64, 60, 60): their share of the refinement's first convolution; seen (B, 128, 15, 15) and who (B, I) by the
    identity network; estimate (B, n_a): weighted log probability of each value."""

    source: Tensor | None
    encoded: Tensor
    near: Tensor | None
    half: Tensor
    seen: Tensor | None
    who: Tensor | None
    estimate: Tensor | None

    def __len__(self) -> int:
        return len(self.half)


class Engine:
    """Runs the networks of a model on one device. precision: torch.bfloat16 where the device has it, by default.

    Pairs are flat: rows (P,) says which of the prepared sources, values (P,) the position in the attribute space.
    """

    def __init__(
        self,
        networks: Networks,
        device: str,
        describer: Describer | None = None,
        precision: torch.dtype | None = None,
        mirror: Sequence[int] | None = None,
    ) -> None:
        """describer: what makes descriptors, where that is not the networks' own, whose estimate counts still. mirror:
        position of each value in a mirrored picture, where pictures can be mirrored."""
        self.device = device
        self.precision = precision or (torch.bfloat16 if has_bf16(device) else torch.float32)
        generation = copy.deepcopy(networks.generation).eval().to(device)
        refinement = copy.deepcopy(networks.refinement).eval().to(device)
        own = copy.deepcopy(networks.describer).eval().to(device)
        with torch.inference_mode():
            self._generation = _generation(generation, self.precision)
            self._refinement = _Refinement(refinement, self.precision)
            used = own if describer is None else copy.deepcopy(describer).eval().to(device)
            self._describer = _Describer(used, self.precision)
            self._looker = _Looker(own, self.precision, whole=used.identity is not None)
        turns = isinstance(self._generation, _Moving) and not networks.generation.config.still
        self._mirror = torch.tensor(mirror, device=device) if mirror is not None and turns else None

    def prepare(self, source: Tensor) -> Prepared:
        """Normalised sources (B, 3, 60, 60)."""
        kept = self._generation.begun(source) if isinstance(self._generation, _Moving) else None
        source = source.to(self.precision).contiguous(memory_format=_LAST)
        encoded = self._generation.encode(source)
        return Prepared(kept, *encoded, self._refinement.encode(source), *self._looker(source))

    def first(self, prepared: Prepared, rows: Tensor, values: Tensor) -> Tensor:
        """What stage one makes, (P, maps, 60, 60) float32: the first three channels are its picture, normalised."""
        return self.shown(prepared, rows, self.said(prepared, rows, values))

    @property
    def black(self) -> Tensor | None:
        """(3,) what light multiplies is brighter than this, where stage one moves pixels instead of painting them."""
        return self._generation.black if isinstance(self._generation, _Moving) else None

    def said(self, prepared: Prepared, rows: Tensor, values: Tensor) -> Tensor:
        """What stage one's decoder says: a picture (P, 3, 60, 60), or (P, 13, 60, 60), how pixels are moved."""
        return self._generation.make(prepared, rows, values).float()

    @property
    def mirrors(self) -> bool:
        """Whether `agreed` says anything that `said` does not."""
        return self._mirror is not None

    def agreed(self, said: Tensor, prepared: Prepared, source: Tensor, rows: Tensor, values: Tensor) -> Tensor:
        """The mean of what stage one's decoder `said` of normalised sources (B, 3, 60, 60) and of what it says of their
        mirror images: nearer the truth than either. Where nothing mirrored can be asked, what it said."""
        if self._mirror is None:
            return said
        seen = source.to(self.precision).flip(3).contiguous(memory_format=_LAST)
        mirrored = replace(prepared, encoded=self._generation.encode(seen)[0])
        return (said + turned_back(self.said(mirrored, rows, self._mirror[values]))) / 2

    def shown(self, prepared: Prepared, rows: Tensor, said: Tensor) -> Tensor:
        """What stage one makes of what its decoder said, as `first`."""
        if not isinstance(self._generation, _Moving):
            return said
        assert prepared.source is not None
        return self._generation.moved(prepared.source[rows], said)

    def features(self, prepared: Prepared, rows: Tensor, first: Tensor) -> Tensor:
        """The descriptor layer's activation (P, 128, 15, 15) of stage one."""
        return self._refinement.features(prepared.half[rows], first)

    def second(self, prepared: Prepared, rows: Tensor, features: Tensor, first: Tensor) -> Tensor:
        """Stage two (P, 3, 60, 60) float32, normalised, of the descriptor layer's activation and stage one."""
        return self._refinement.picture(prepared.half, rows, features, first)

    def describe(self, prepared: Prepared, rows: Tensor, values: Tensor, features: Tensor, asked: bool) -> Tensor:
        """Descriptors (P, D) float32 of the descriptor layer's activation. asked: the sources are to be seen under
        these values; else that is what was decided of them."""
        return self._describer.make(prepared, rows, values, features, asked)


class _Paper:
    """Stage one as the paper has it."""

    def __init__(self, network: GenerationNetwork, precision: torch.dtype) -> None:
        fusion = network.fusion
        self._encode: list[Step] = [
            *folded(network.image_encoder, precision),
            Convolution(fusion.first.weight[:, :64], None, 1, 1, False, precision),
        ]
        table = fusion.attribute_half(network.attribute_encoder.maps())  # (n_a, 128, 30, 30)
        self._table = table.to(precision).contiguous(memory_format=_LAST)
        self._make = [*folded(fusion.rest, precision), *folded(network.decoder, precision)]

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor | None]:
        return run(self._encode, source), None  # (B, 128, 30, 30)

    def make(self, prepared: Prepared, rows: Tensor, values: Tensor) -> Tensor:
        return run(self._make, prepared.encoded[rows] + self._table[values])


class _Mixing:
    """Stage one with global mixing."""

    def __init__(self, network: MixingGenerationNetwork, precision: torch.dtype) -> None:
        *see, pool = network.image_encoder
        self._see, self._encode = folded(see, precision), folded([pool, *network.inner], precision)
        self._places, self._attributes = network.places.to(precision), network.attributes.to(precision)
        self._still = network.config.still
        self._blocks = [block.to(precision) for block in network.blocks]
        self._norm = network.norm.to(precision)
        decoder = network.decoder
        self._decode = folded(decoder.layers if isinstance(decoder, FlowDecoder) else decoder, precision)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor | None]:
        near = run(self._see, source)
        encoded = run(self._encode, near).flatten(2).transpose(1, 2) + self._places  # (B, 225, width)
        return encoded, near if self._still else None

    def make(self, prepared: Prepared, rows: Tensor, values: Tensor) -> Tensor:
        return run(self._decode, self._mixed(prepared.encoded, rows, values))

    def _mixed(self, encoded: Tensor, rows: Tensor, values: Tensor) -> Tensor:
        tokens = encoded[rows] + self._attributes[values]
        for block in self._blocks:
            tokens = block(tokens)
        # (P, 225, width) is a picture in channels_last already
        return self._norm(tokens).view(len(rows), 15, 15, -1).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


class _Moving(_Mixing):
    """Stage one that moves pixels."""

    def __init__(self, network: FlowGenerationNetwork, precision: torch.dtype) -> None:
        super().__init__(network, precision)
        self._grid, self.black = network.grid, network.black
        self._kept = network.config.kept
        assert isinstance(network.decoder, FlowDecoder)
        self._light = folded([network.decoder.light], precision)
        self._near = [] if network.decoder.near is None else folded(network.decoder.near, precision)

    def make(self, prepared: Prepared, rows: Tensor, values: Tensor) -> Tensor:
        mixed = self._mixed(prepared.encoded, rows, values)
        said = run(self._decode, mixed)
        if prepared.near is not None:
            said = said + run(self._near, torch.cat([prepared.near[rows], said], 1))
        return joined(said, run(self._light, mixed))

    def begun(self, source: Tensor) -> Tensor:
        """The sources (B, 3, 60, 60), ready to be moved."""
        return source.float() if self._still else sharpened(source.float())

    def moved(self, source: Tensor, said: Tensor) -> Tensor:
        """(P, 12, 60, 60): the sources (P, 3, 60, 60) as the decoder (P, 13, 60, 60) says."""
        return blended(source, said, self._grid, self.black, self._kept).maps


def turned_back(said: Tensor) -> Tensor:
    """Of what stage one said of mirrored sources (N, 13, 60, 60), the same of those as they are: both flows lead the
    other way across."""
    other = said.flip(3)
    other[:, [0, 2]] *= -1
    return other


def _generation(network: nn.Module, precision: torch.dtype) -> _Paper | _Mixing:
    if isinstance(network, FlowGenerationNetwork):
        return _Moving(network, precision)
    if isinstance(network, MixingGenerationNetwork):
        return _Mixing(network, precision)
    assert isinstance(network, GenerationNetwork)
    return _Paper(network, precision)


class _Refinement:
    """Stage two."""

    def __init__(self, network: RefinementNetwork, precision: torch.dtype) -> None:
        first, *image_encoder = network.encoder.image_encoder
        assert isinstance(first, nn.Conv2d)
        self._skip, self._kept = network.skip, network.kept
        self._source = Convolution(first.weight[:, :3], first.bias, 1, 1, False, precision)
        self._generated = Convolution(first.weight[:, 3:], None, 1, 1, False, precision)
        self._encode = [*folded(image_encoder, precision), *folded(network.encoder.rest, precision)]
        self._last: Convolution | None = None
        decoder = network.decoder
        if isinstance(decoder, DetailDecoder):
            self._last = Convolution(decoder.last.weight, decoder.last.bias, 1, 1, False, precision)
        self._decode = folded(decoder.up if isinstance(decoder, DetailDecoder) else decoder, precision)
        self._precision = precision

    def encode(self, source: Tensor) -> Tensor:
        return self._source(source)

    def features(self, half: Tensor, first: Tensor) -> Tensor:
        return run(self._encode, self._generated(first.to(self._precision)).add_(half))

    def picture(self, half: Tensor, rows: Tensor, features: Tensor, first: Tensor) -> Tensor:
        made = run(self._decode, features)
        if self._last is not None:  # the first layer again: to keep it would take more memory than all else
            near = self._generated(first.to(self._precision)).add_(half[rows]).relu_()
            return corrected(self._last(torch.cat([made, near], 1)).float(), first, self._kept)
        return made.float() + first[:, :3] if self._skip else made.float()


class _Describer:
    """Descriptors, the paper's or learned ones."""

    def __init__(self, describer: Describer, precision: torch.dtype) -> None:
        self._describer = describer
        head = describer.head
        self._head = None if head is None else folded([head.layers[:-1]], precision)
        self._ends = [] if head is None else [folded([end], precision) for end in head.ends]

    def make(self, prepared: Prepared, rows: Tensor, values: Tensor, features: Tensor, asked: bool) -> Tensor:
        if self._head is not None:
            if self._describer.look_back:
                assert prepared.seen is not None
                features = torch.cat([features, prepared.seen[rows]], 1)
            hidden = run(self._head, features)
            features = reduce(torch.add, (run(end, hidden) for end in self._ends))
        refined = F.normalize(features.float().flatten(1), dim=1)
        who, estimate = (None if of is None else of[rows] for of in (prepared.who, prepared.estimate))
        return self._describer.joined(refined, who, self._describer.code(values, None if asked else estimate))


class _Looker:
    """What is seen in sources (B, 3, 60, 60) without editing them, as far as the describer needs it: half-way through
    the identity network, who it is (where `whole`), and an estimate of the value."""

    def __init__(self, describer: Describer, precision: torch.dtype, whole: bool) -> None:
        network, estimator = describer.identity, describer.estimator
        self._weight = describer.estimate_weight
        self._estimate = None if estimator is None else folded(estimator.layers, precision)
        self._begin = self._end = self._out = None
        if network is not None and (whole or estimator is not None):
            self._begin = folded([network.stem, network.middle], precision)
        if network is not None and whole:
            self._end = folded([network.top, network.narrow, nn.ReLU()], precision)
            self._out = network.out.to(precision)

    def __call__(self, source: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        if self._begin is None:
            return None, None, None
        seen = run(self._begin, source)
        who = estimate = None
        if self._out is not None:
            mirrored = run(self._begin, source.flip(3))
            who = F.normalize(self._named(seen) + self._named(mirrored), dim=1)
        if self._estimate is not None:
            estimate = self._weight * run(self._estimate, seen).float().log_softmax(1)
        return seen, who, estimate

    def _named(self, seen: Tensor) -> Tensor:
        assert self._end is not None and self._out is not None
        return F.normalize(self._out(run(self._end, seen).flatten(1)).float(), dim=1)
