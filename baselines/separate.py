"""The separate (digital) chain: source coder, CRC, channel code, scrambling, QAM, in a budget of channel uses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from semlink.baselines.adaptation import MODES, average_failures, best_schemes, failures, outage_failures
from semlink.baselines.bler import check_table, schemes_of
from semlink.baselines.blocks import Plan, check_code, plan_blocks
from semlink.baselines.budget import too_small
from semlink.baselines.chain import demodulate, modulate, source_notes
from semlink.baselines.doors import QAM_NAME, code_spec, mapper, parse_scheme
from semlink.baselines.mcs import MCS, NR_SCHEMES
from semlink.baselines.sources import SourceCoder, link_source
from semlink.phy.link import Channel, Decoded, Frame, Received, Sounding, channel_uses
from semlink.phy.metrics import to_levels
from semlink.phy.rng import probe

HEADER_BITS = math.ceil(math.log2(len(NR_SCHEMES)))
"""What telling the receiver the scheme of an adaptive link takes: one of NR's tables."""


class SeparateCodec:
    """An image by source coding, then channel coding: the classical link, which either arrives or falls off a cliff.

    The source coding fills at most the information bits of the budget. These are cut into the fewest code blocks of at
    most 8448 bits (3840 up to rate 1/4), as even as whole symbols allow; each gets a CRC (TS 38.212 clause 7.2.1), a
    5G LDPC code rate-matched to its symbols (clauses 5.3.2 and 5.4.2), Gold-sequence scrambling (TS 38.211 clause
    7.3.1.1) and Gray QAM (clause 5.1). What the source leaves unused is padded with zeros: every symbol of the budget
    is sent.

    The receiver knows the image size, the ratio and the scheme. It decodes the source from the blocks before the first
    whose CRC fails, shows mid-grey (128/255) where nothing arrived, and marks the image as failed. An image that fits
    at no quality is sent as all zeros, which no coding is: it is received as mid-grey and marked as failed.

    `separate_codec` also makes one that chooses the scheme itself: see `AdaptiveCodec` and `GenieCodec`.

    Args:
        source: "jpeg", "jpeg2000", "webp", "avif" or "heic", which choose the resolution of each image (`Resolutions`);
            or a coder as it is, such as `Sealed` makes of one.
        mcs: a scheme of `semlink.baselines.mcs`, by name, such as "16qam-1/2" or "nr1-13".
        ratio: bandwidth ratio, complex channel uses / (c·h·w).
        code: "ldpc" (5G), "nr" (5G too, as a transport block of TS 38.212: sizes of TS 38.214, one CRC for the whole
            beside those of the blocks), "polar" (5G), "gallager", "conv" (IEEE 802.11, without its interleaver) or
            "uncoded", which takes only the modulation of `mcs`; or one of one's own, and an interleaver behind it: see
            `semlink.baselines.doors`.
        constellation: "qam", or the name of another one, of which `mcs` is the code rate, "2/3".

    Raises:
        ValueError: unknown source, scheme or code, one that is not installed, or a ratio that is not positive.
    """

    ignores_n0 = True

    def __init__(
        self,
        *,
        source: str | SourceCoder = "jpeg",
        mcs: str = "16qam-1/2",
        ratio: float = 1 / 6,
        code: str = "ldpc",
        constellation: str = QAM_NAME,
    ) -> None:
        check_ratio(ratio)
        scheme = parse_scheme(mcs, constellation)
        check_code(code, scheme)
        if table := code_spec(code).table:
            raise ValueError(f"table={table}: a fixed scheme needs none; an adaptive link chooses by it")
        self.source = link_source(source)
        uncoded = code_spec(code).name == "uncoded"
        self.mcs = MCS(scheme.order, Fraction(1), scheme.constellation) if uncoded else scheme
        try:
            mapper(self.mcs)
        except ValueError as error:
            raise ValueError(f"code={code!r} with mcs='{scheme}' sends at rate {self.mcs.rate}: {error}") from None
        self.ratio = ratio
        self.code = code

    def __repr__(self) -> str:
        """What it was made of."""
        scheme = f"mcs='{self.mcs}', ratio={self.ratio:.4g}, code={self.code!r}"
        return f"{type(self).__name__}(source={self.source!r}, {scheme})"

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:  # noqa: ARG002
        """Images in [0, 1] to floor(ratio·c·h·w) symbols each, (b, n); a fixed scheme makes no use of `n0`.

        Raises:
            ValueError: the budget carries no code block, or the images have other than 1 or 3 channels.
        """
        frame = modulate(to_uint8(image), [self._plan(image.shape)] * image.shape[0], self.source)
        notes = {**source_notes(self.source, image.shape), "receiver": "knows the image size, the scheme and the ratio"}
        return frame.to_frame(image.device, notes)

    def decode(self, received: Received) -> Decoded:
        """Images (b, c, h, w) in [0, 1], which failed, and how many code blocks of each did, (b,).

        Raises:
            ValueError: the reception has another number of symbols than this codec sends.
        """
        plan = self._plan((1, *received.shape_for(self.ratio)))
        return demodulate(received, [plan] * received.symbols.shape[0], self.source, self.ratio)

    def _plan(self, shape: Sequence[int]) -> Plan:
        symbols = _symbols(shape, self.ratio)
        try:
            return plan_blocks(symbols, self.mcs, self.code)
        except ValueError as error:
            said = too_small(shape, self.ratio, symbols, error, self.code, self.mcs.constellation)
            raise ValueError(said) from None


class AdaptiveCodec:
    """The same link with the scheme of least expected squared error for each image, from the tables of NR.

    All of TS 38.214 tables 5.1.3.1-1, -2 and -4 are tried, or the schemes of a table of one's own, with their block
    error rates and the source coder's own error on the image: see `semlink.baselines.adaptation.best_scheme`. The
    transmitter knows the average Es/N0. Without `fading` it takes the channel for AWGN: what a fair opponent does
    there, and far too bold on fading. With `fading` it knows the distribution of that channel's fades, and trades rate
    for outage.

    The receiver is told the scheme by the burst header, 6 bits for NR's tables, which are stated in the ledger's bits.

    Args:
        source: as of `SeparateCodec`.
        ratio: bandwidth ratio, complex channel uses / (c·h·w).
        fading: the channel whose fading statistics are known; None for AWGN.
        code: "ldpc" or "nr", as of `SeparateCodec`; of other codes and constellations no block error rates are stored,
            and the file is named that `semlink bench bler` measured: "polar,table=polar.csv".
        constellation: of all schemes of such a table.

    Raises:
        ValueError: unknown source or code, or a ratio that is not positive.
    """

    def __init__(
        self,
        *,
        source: str | SourceCoder = "jpeg",
        ratio: float = 1 / 6,
        fading: Channel | None = None,
        code: str = "ldpc",
        constellation: str = QAM_NAME,
    ) -> None:
        check_ratio(ratio)
        check_table(code, constellation)
        check_code(code, schemes_of(code)[0])
        self.source = link_source(source)
        self.ratio = ratio
        self.code = code
        self.fading = fading
        self._outages: dict[tuple[int, float], np.ndarray] = {}

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        """Images in [0, 1] to floor(ratio·c·h·w) symbols each, (b, n), for an average noise variance `n0`.

        Raises:
            ValueError: the budget carries no code block, or the images have other than 1 or 3 channels.
        """
        key = symbols, esno_db = _symbols(image.shape, self.ratio), round(-10 * math.log10(n0), 9)
        if self.fading is None:
            return self._send(image, average_failures(symbols, esno_db, self.code), "the average Es/N0")
        if key not in self._outages:
            self._outages[key] = outage_failures(symbols, esno_db, self.fading, self.code)
        return self._send(image, self._outages[key], "the average Es/N0 and the fading statistics")

    def decode(self, received: Received) -> Decoded:
        """As `SeparateCodec.decode`, each image by the scheme its header tells.

        Raises:
            ValueError: no header, or another number of symbols than this codec sends.
        """
        if received.header is None:
            raise ValueError("header=None: an adaptive link needs the burst header that tells the scheme")
        symbols = _symbols((1, *received.shape_for(self.ratio)), self.ratio)
        plans = [plan_blocks(symbols, scheme_of(index, self.code), self.code) for index in received.header]
        return demodulate(received, plans, self.source, self.ratio)

    def _send(self, image: Float[Tensor, "b c h w"], fails: Float[np.ndarray, " schemes *images"], knows: str) -> Frame:
        pixels, symbols = to_uint8(image), _symbols(image.shape, self.ratio)
        try:
            schemes = best_schemes(self.source, list(pixels), symbols, fails, self.code)
        except ValueError as error:
            points = schemes_of(self.code)[0].constellation
            said = too_small(image.shape, self.ratio, symbols, error, self.code, points)
            raise ValueError(said) from None
        sent = modulate(pixels, [plan_blocks(symbols, mcs, self.code) for mcs in schemes], self.source)
        told, known = math.ceil(math.log2(max(2, len(schemes_of(self.code))))), schemes_of(self.code)
        notes = {
            **source_notes(self.source, image.shape),
            "receiver": f"knows the image size and the ratio; the header, {told} bits beside the channel uses, "
            "tells the scheme",
            "transmitter": f"knows {knows}, and picks the scheme of least expected squared error for each image",
        }
        return sent.to_frame(image.device, notes, header=[known.index(mcs) for mcs in schemes], header_bits=told)


class GenieCodec(AdaptiveCodec):
    """An `AdaptiveCodec` that knows the fades each image will meet: an upper bound on adaptation, not a system.

    Args:
        source: as of `SeparateCodec`.
        ratio: bandwidth ratio, complex channel uses / (c·h·w).
        code: as of `AdaptiveCodec`.
        constellation: as of `AdaptiveCodec`.
    """

    def __init__(
        self,
        *,
        source: str | SourceCoder = "jpeg",
        ratio: float = 1 / 6,
        code: str = "ldpc",
        constellation: str = QAM_NAME,
    ) -> None:
        super().__init__(source=source, ratio=ratio, code=code, constellation=constellation)

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:  # noqa: ARG002
        """A genie must be told.

        Raises:
            ValueError: always; `Link` calls `encode_informed`.
        """
        raise ValueError("a genie's encoder needs the channel: use Link, or encode_informed with a sounding")

    def encode_informed(self, image: Float[Tensor, "b c h w"], n0: float, sound: Sounding) -> Frame:  # noqa: ARG002
        """Images in [0, 1] to symbols, (b, n), for the Es/N0 that the channel will give each symbol.

        Raises:
            ValueError: as `AdaptiveCodec.encode`.
        """
        esno = sounded_esno(sound, image, self.ratio)
        return self._send(
            image, failures(esno.shape[1], esno, self.code), "the fades of each image, as a genie would tell them"
        )


def separate_codec(
    *,
    source: str | SourceCoder = "jpeg",
    mcs: str = "16qam-1/2",
    ratio: float = 1 / 6,
    code: str = "ldpc",
    fading: Channel | None = None,
    constellation: str = QAM_NAME,
) -> SeparateCodec | AdaptiveCodec:
    """The separate chain with a fixed scheme, or with link adaptation: `mcs` "adaptive", "outage" or "genie".

    Args:
        source: as of `SeparateCodec`.
        mcs: a scheme by name, or how to choose one: by the average Es/N0, by that and the statistics of `fading`, or
            by the fades themselves.
        ratio: bandwidth ratio, complex channel uses / (c·h·w).
        code: as of `SeparateCodec`, and of `AdaptiveCodec`.
        fading: the channel, for "outage".
        constellation: as of `SeparateCodec`.

    Raises:
        ValueError: as the classes, or a combination that there is not.
    """
    if mcs not in MODES:
        return SeparateCodec(source=source, mcs=mcs, ratio=ratio, code=code, constellation=constellation)
    if mcs == "outage" and fading is None:
        raise ValueError("mcs='outage' needs `fading`, the channel whose statistics are known")
    if mcs == "genie":
        return GenieCodec(source=source, ratio=ratio, code=code, constellation=constellation)
    known = fading if mcs == "outage" else None
    return AdaptiveCodec(source=source, ratio=ratio, fading=known, code=code, constellation=constellation)


def sounded_esno(sound: Sounding, image: Float[Tensor, "b c h w"], ratio: float) -> Float[np.ndarray, "b n"]:
    """The Es/N0, linear, that each symbol of each image will have after equalisation.

    Raises:
        ValueError: the budget has not one symbol.
    """
    (_, c, h, w), n = image.shape, _symbols(image.shape, ratio)
    if not n:
        raise ValueError(f"ratio={ratio:g} is too small for an image of {w}×{h}×{c}: it has no channel use")
    sent = probe(image.shape[0], n).to(image.device)
    esno: np.ndarray = (1 / sound(sent).unbiased().n0.double()).cpu().numpy()
    return esno


def to_uint8(image: Float[Tensor, "b c h w"]) -> UInt8[np.ndarray, "b h w c"]:
    """Images in [0, 1] as 8-bit pixels, rounded, channels last."""
    pixels: np.ndarray = to_levels(image.detach()).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return pixels


def _symbols(shape: Sequence[int], ratio: float) -> int:
    _, c, h, w = shape
    return channel_uses((c, h, w), ratio)


def check_ratio(ratio: float) -> None:
    if not (math.isfinite(ratio) and ratio > 0):
        raise ValueError(f"ratio={ratio} must be a positive number of channel uses per c·h·w")


def scheme_of(index: object, code: str) -> MCS:
    """The scheme that a burst header tells.

    Raises:
        ValueError: it is none of the code's.
    """
    schemes = schemes_of(code)
    if not isinstance(index, int) or not 0 <= index < len(schemes):
        raise ValueError(f"header tells scheme {index!r}; it must be 0 … {len(schemes) - 1}")
    return schemes[index]
