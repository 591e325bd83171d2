"""Measures whether a codec or a channel keeps the contract of `semlink.phy.link`, and says in words what is off."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from semlink.phy.channels import AWGN
from semlink.phy.documents import error_line
from semlink.phy.link import Channel, Codec, Decoded, Frame, InformedCodec, Received, esno_to_n0
from semlink.phy.metrics import psnr
from semlink.phy.rng import image_rngs

SIDE = 32
ESNO_DB = 10.0
BETTER_DB = (20.0, 25.0, 30.0, 40.0, 60.0)
"""Es/N0 over which no curve may fall."""
FALL_DB = 0.1
"""What a curve may fall all the same: what rounding to 8 bits and four images leave open."""
_UNIT_PER_AXIS_DB = 10 * math.log10(2)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: in a few words.
        good: whether it is as it must be; None where it does not apply or is only told.
        words: what was found.
    """

    what: str
    good: bool | None
    words: str


def check_codec(codec: Codec | InformedCodec, *, side: int = SIDE) -> list[Finding]:
    """Look at a codec's transmitter, ledger, receiver and gradients, with four RGB images of `side` pixels."""
    image = _images(side)
    try:
        frame = _encode(codec, image)
    except Exception as error:
        return [Finding("encode", False, f"raises {error_line(error)}")]
    if not isinstance(frame, Frame):
        return [Finding("encode", False, f"returns {type(frame).__name__}; it must be a semlink.phy.link.Frame")]
    shape = _shape(frame, image)
    if not shape.good:
        return [shape]
    return [
        shape,
        *_guarded("power", lambda: [_power(codec, frame, image)]),
        *_guarded("power over Es/N0", lambda: [_scale(codec, frame, image)]),
        _ledger(frame, image, codec),
        *_guarded("batch", lambda: [_alone(codec, frame, image)]),
        *_guarded("decode", lambda: _receiver(codec, image)),
        _gradients(codec, image),
    ]


def check_channel(channel: Channel) -> list[Finding]:
    """Look at a channel's noise, gains, and independence of batches, with Gaussian symbols of unit energy."""
    symbols = _gaussian(64, 2048)
    n0 = esno_to_n0(ESNO_DB)
    try:
        received = channel(symbols, n0, rng=image_rngs(0, _images(8, 64)))
    except Exception as error:
        return [Finding("call", False, f"raises {error_line(error)}")]
    if not isinstance(received, Received) or received.symbols.shape != symbols.shape:
        return [Finding("call", False, "must return a semlink.phy.link.Received with as many symbols as were sent")]
    return [
        *_guarded("noise", lambda: _noise(channel, symbols)),
        *_guarded("Es/N0", lambda: [_told(channel, symbols)]),
        *_guarded("batch", lambda: [_channel_alone(channel, symbols)]),
    ]


def _guarded(what: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What a look finds, where a block that took the first images may still not take these: one image alone, say."""
    try:
        yield from look()
    except Exception as error:
        yield Finding(what, False, f"raises {error_line(error)}")


def _shape(frame: Frame, image: Tensor) -> Finding:
    symbols = frame.symbols
    good = symbols.ndim == 2 and len(symbols) == len(image) and symbols.shape[1] > 0 and symbols.is_complex()
    told = f"{symbols.dtype} {tuple(symbols.shape)} for {len(image)} images"
    return Finding("symbols", good, told if good else f"{told}; they must be complex, a row an image")


def _power(codec: Any, frame: Frame, image: Tensor) -> Finding:  # noqa: ANN401 - a user's
    """Es = 1 of every image, exactly or, of a constellation, but for chance."""
    n = frame.symbols.shape[1]
    allowed = 1e-3 if frame.power == "exact" else 6 * math.sqrt(0.4 / n)
    energies = torch.cat([_energy(frame), _energy(_encode(codec, 0.2 * image))])
    worst = float(energies[(energies - 1).abs().argmax()])
    mean = float(energies.mean())
    if abs(worst - 1) <= allowed:
        return Finding("power", True, f"mean energy of each image's symbols 1 ± {allowed:.2g} ({frame.power})")
    off = 10 * math.log10(max(mean, 1e-12))
    spread = float(energies.max() / energies.min().clamp_min(1e-12))
    if spread > 1 + 4 * allowed and abs(float(_energy(frame).mean()) - 1) <= 0.05:
        words = (
            f"Es is 1 on average over the batch and {float(energies.min()):.3g} to {float(energies.max()):.3g} from "
            "image to image: it is normalised per batch; normalise each image by itself (normalise_power)"
        )
    elif abs(off - _UNIT_PER_AXIS_DB) < 0.1:
        words = (
            f"Es is {mean:.3g}: unit power per real axis instead of per complex symbol. The codec is "
            f"{_UNIT_PER_AXIS_DB:.2f} dB better off than the Es/N0 says"
        )
    else:
        words = f"Es is {mean:.3g} ({off:+.2f} dB; worst image {worst:.3g}); it must be 1 for every image"
    return Finding("power", False, words)


def _scale(codec: Any, frame: Frame, image: Tensor) -> Finding:  # noqa: ANN401 - a user's
    """The power must not follow the noise that is told."""
    energies = [float(_energy(_encode(codec, image, n0=esno_to_n0(level))).mean()) for level in (0.0, 20.0)]
    off = 10 * math.log10(max(energies[0], 1e-12) / max(energies[1], 1e-12))
    allowed = 0.01 if frame.power == "exact" else 10 * math.log10(1 + 12 * math.sqrt(0.4 / frame.symbols.shape[1]))
    good = abs(off) <= allowed
    words = "the same at 0 and 20 dB" if good else f"{off:+.2f} dB at 0 dB against 20 dB: power follows the noise told"
    return Finding("power over Es/N0", good, words)


def _ledger(frame: Frame, image: Tensor, codec: object) -> Finding:
    n, values = frame.symbols.shape[1], image[0].numel()
    total = sum(frame.uses.values())
    if total != n or any(count < 0 for count in frame.uses.values()):
        return Finding("ledger", False, f"uses {dict(frame.uses)} add up to {total}; the frame has {n} symbols")
    told = getattr(codec, "ratio", None)
    if isinstance(told, int | float) and n > told * values + 1e-6:
        return Finding("ledger", False, f"{n} symbols are a ratio of {n / values:.4g}; the codec says ratio={told:.4g}")
    return Finding("ledger", True, f"{dict(frame.uses)}: ratio {n / values:.4g}")


def _alone(codec: Any, frame: Frame, image: Tensor) -> Finding:  # noqa: ANN401 - a user's
    """An image's symbols must not depend on its batch, nor on its place there."""
    order = torch.arange(len(image)).flip(0)
    turned = _encode(codec, image[order]).symbols[order]
    one = torch.cat([_encode(codec, image[i : i + 1]).symbols for i in range(len(image))])
    if one.shape != frame.symbols.shape or turned.shape != frame.symbols.shape:
        return Finding("batch", False, "the number of symbols depends on the batch")
    off = max(float((other - frame.symbols).abs().max()) for other in (one, turned))
    good = off < 1e-3
    words = "symbols are those of each image alone" if good else f"symbols change by up to {off:.2g} with the batch"
    return Finding("batch", good, words)


def _receiver(codec: Any, image: Tensor) -> Iterator[Finding]:  # noqa: ANN401 - a user's
    received = _received(_encode(codec, image), image, ESNO_DB)
    try:
        decoded = _decoded(codec.decode(received))
    except Exception as error:
        yield Finding("decode", False, f"raises {error_line(error)}")
        return
    got = decoded.image
    if got.ndim == 2:
        yield from _classifier(codec, image, received, got)
        return
    if got.shape != image.shape or not bool(got.isfinite().all()):
        yield Finding("decode", False, f"returns {tuple(got.shape)}, finite: {bool(got.isfinite().all())}")
        return
    low, high = float(got.min()), float(got.max())
    inside = low >= -1e-6 and high <= 1 + 1e-6
    told = f"images in [{low:.3g}, {high:.3g}]"
    yield Finding("decode", inside, told if inside else f"{told}; they must be clipped to [0, 1]")
    _encode(codec, image.flip(0))  # what the transmitter did last is nothing to the receiver
    again = _decoded(codec.decode(received)).image
    off = float((again - got).abs().max())
    words = "from the reception alone" if off < 1e-4 else (
        f"changes by {off:.2g} when another image was encoded meanwhile: the receiver looks at the transmitter"
    )  # fmt: skip
    yield Finding("knowledge", off < 1e-4, words)
    alone = torch.cat([_decoded(codec.decode(_row(received, i))).image for i in range(len(image))])
    off = float((alone - got).abs().max())
    words = "images are those of each alone" if off < 1e-3 else f"images change by up to {off:.2g} with the batch"
    yield Finding("decoded batch", off < 1e-3, words)
    curve = [_psnr_at(codec, image, level) for level in (0.0, 20.0)]
    words = f"PSNR {curve[0]:.1f} dB at 0 dB, {curve[1]:.1f} dB at 20 dB"
    same = curve[0] == curve[1] or abs(curve[1] - curve[0]) < 1e-9  # both may be infinite
    yield Finding("noise", None if same else curve[1] > curve[0], words)
    yield _better(codec, image)


def _better(codec: Any, image: Tensor) -> Finding:  # noqa: ANN401 - a user's
    """Whether a better channel shows less, as where a network is told an Es/N0 beyond its training."""
    curve = [_psnr_at(codec, image, level) for level in BETTER_DB]
    pairs = list(zip(BETTER_DB, curve, strict=True))
    if any(math.isnan(value) for value in curve):
        return Finding("better channels", False, "images that are no numbers up to Es/N0 of 60 dB")
    best, at = max((value, level) for level, value in pairs)
    falls = [(level, value) for level, value in pairs if level > at and value < best - FALL_DB]
    if not falls:
        return Finding("better channels", True, f"PSNR does not fall up to Es/N0 of {BETTER_DB[-1]:g} dB")
    level, worst = min(falls, key=lambda one: one[1])
    told = f"PSNR falls from {best:.1f} dB at {at:g} dB to {worst:.1f} dB at {level:g} dB"
    return Finding("better channels", False, f"{told}: is it told an Es/N0 beyond its training?")


def _classifier(codec: Any, image: Tensor, received: Received, got: Tensor) -> Iterator[Finding]:  # noqa: ANN401
    """Of a codec that gives logits: their form, and that an image's are its own."""
    told, classes = getattr(codec, "classes", None), got.shape[1]
    finite = bool(got.isfinite().all())
    good = len(got) == len(image) and classes >= 2 and finite and told in (None, classes)
    said = f"logits {tuple(got.shape)}, finite: {finite}"
    said += "" if told in (None, classes) else f"; the codec says classes={told}"
    yield Finding("decode", good, said if good else f"{said}; they must be (images, classes), finite")
    if not good:
        return
    scale = float(got.abs().max()) + 1e-9
    _encode(codec, image.flip(0))  # what the transmitter did last is nothing to the receiver
    off = float((_decoded(codec.decode(received)).image - got).abs().max()) / scale
    words = "from the reception alone" if off < 1e-4 else (
        f"changes by {100 * off:.2g} % when another image was encoded meanwhile: the receiver looks at the transmitter"
    )  # fmt: skip
    yield Finding("knowledge", off < 1e-4, words)
    alone = torch.cat([_decoded(codec.decode(_row(received, i))).image for i in range(len(image))])
    off = float((alone - got).abs().max()) / scale
    words = (
        "logits are those of each image alone" if off < 1e-3 else f"logits change by {100 * off:.2g} % with the batch"
    )
    yield Finding("decoded batch", off < 1e-3, words)


def _psnr_at(codec: Any, image: Tensor, esno_db: float) -> float:  # noqa: ANN401 - a user's
    """PSNR in dB; NaN where the decoder returns what is no number."""
    received = _received(_encode(codec, image, n0=esno_to_n0(esno_db)), image, esno_db)
    got = _decoded(codec.decode(received)).image
    return psnr(got.clamp(0, 1), image) if bool(got.isfinite().all()) else math.nan


def _gradients(codec: Any, image: Tensor) -> Finding:  # noqa: ANN401 - a user's
    weights = list(codec.parameters()) if isinstance(codec, nn.Module) else []
    if not weights:
        return Finding("gradients", None, "no torch module with weights")
    asked = [p.requires_grad for p in weights]
    try:
        for p in weights:
            p.requires_grad_(True)
        frame = _encode(codec, image, grad=True)
        got = _decoded(codec.decode(_received(frame, image, ESNO_DB))).image
        if not got.requires_grad:
            return Finding("gradients", None, "none flow through encode and decode: for use, not for training")
        wanted = image if got.ndim == 4 else torch.zeros_like(got)
        gradients = torch.autograd.grad((got - wanted).square().mean(), weights, allow_unused=True)
    except Exception as error:
        return Finding("gradients", False, f"raises {error_line(error)}")
    finally:
        for p, before in zip(weights, asked, strict=True):
            p.requires_grad_(before)
    used = [g for g in gradients if g is not None]
    finite = all(bool(g.isfinite().all()) for g in used)
    words = f"reach {len(used)} of {len(weights)} tensors, {'all finite' if finite else 'NOT all finite'}"
    return Finding("gradients", finite and bool(used), words)


def _noise(channel: Channel, symbols: Tensor) -> Iterator[Finding]:
    """The noise that arrives, over Es/N0: E|y − h x|² of what is told, against n0."""
    if getattr(channel, "labels", {}).get("csi") == "none":
        yield Finding("noise", None, "nobody knows the fades: they cannot be told from noise")
        return
    for level in (0.0, 20.0):
        n0 = esno_to_n0(level)
        received = channel(symbols, n0, rng=image_rngs(1, _images(8, len(symbols)))).unbiased()
        kept = received.n0 < 1e6
        error = (received.symbols - symbols).abs().square()
        # Weighed by what is told, so that faded symbols do not decide alone.
        share = float((error / received.n0)[kept].mean())
        off = 10 * math.log10(max(share, 1e-12))
        good = abs(off) < 0.3
        what = f"noise at {level:g} dB"
        if good:
            yield Finding(what, True, f"as told: {off:+.2f} dB")
        elif abs(abs(off) - _UNIT_PER_AXIS_DB) < 0.3:
            words = f"{off:+.2f} dB off what is told: N0 on each real axis instead of N0/2, or the reverse"
            yield Finding(what, False, words)
        else:
            yield Finding(what, False, f"{off:+.2f} dB off what `Received.n0` says")


def _told(channel: Channel, symbols: Tensor) -> Finding:
    """Whether the noise told is that of the Es/N0 asked for: the mean of gain²·n0 over many fades must be n0."""
    n0 = esno_to_n0(ESNO_DB)
    received = channel(symbols, n0, rng=image_rngs(2, _images(8, len(symbols)))).unbiased()
    if received.gain is None:
        off = 10 * math.log10(float(received.n0.mean()) / n0)
        if float(received.n0.std()) > 0.01 * n0:
            return Finding("Es/N0", None, f"no gains told, and noise that varies: {off:+.2f} dB on average")
        good = abs(off) < 0.3
        words = "the noise of the Es/N0 asked for" if good else f"{off:+.2f} dB off the Es/N0 asked for"
        return Finding("Es/N0", good, words)
    energy = received.gain.abs().square()
    mean = float(energy.mean())
    # Images fade independently, the symbols of one do not: four standard errors of the mean over images.
    allowed = max(0.05, 4 * float(energy.mean(dim=1).std()) / math.sqrt(len(energy)))
    if float((energy.mean(dim=1) - 1).abs().max()) < 1e-3 < float(energy.std()):
        return Finding("fading", False, "gains are renormalised for each image: deep fades, and outage, are taken away")
    # Estimation errors add to the noise; nothing may take from it.
    least = float((received.n0 * energy / n0)[energy > 1e-3].min())
    if least < 0.8:
        less = f"{-10 * math.log10(least):.1f} dB less noise where it fades"
        return Finding("fading", False, f"{less}: N0 follows the gain, as if taken from what arrives")
    good = abs(mean - 1) < allowed
    words = f"E|h|² = {mean:.3g}" + ("" if good else f"; it must be 1 ± {allowed:.2g}")
    more = 10 * math.log10(float((received.n0 * energy / n0).median()))
    if more > 0.3 and getattr(channel, "labels", {}).get("csi") not in ("estimated", "outdated"):
        words += f"; {more:.1f} dB more noise than the Es/N0 asked for"
        if abs(more - _UNIT_PER_AXIS_DB) < 0.3:
            return Finding("fading", False, f"{words}: N0 on each real axis instead of N0/2")
        return Finding("fading", None if good else False, words)  # a radio's distortion, say
    return Finding("fading", good, words)


def _channel_alone(channel: Channel, symbols: Tensor) -> Finding:
    few, n0 = symbols[:4], esno_to_n0(ESNO_DB)
    seeds = _images(8, 4)
    whole = channel(few, n0, rng=image_rngs(3, seeds)).symbols
    one = torch.cat([channel(few[i : i + 1], n0, rng=image_rngs(3, seeds[i : i + 1])).symbols for i in range(4)])
    off = float((whole - one).abs().max())
    words = "draws are those of each image alone" if off < 1e-4 else f"symbols change by up to {off:.2g} with the batch"
    return Finding("batch", off < 1e-4, words)


def _images(side: int, count: int = 4) -> Float[Tensor, "b 3 h w"]:
    """Smooth images of different brightness and contrast, always the same."""
    drawn = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    smooth = nn.functional.interpolate(drawn, size=(side, side), mode="bicubic", align_corners=True).clamp(0, 1)
    contrast = torch.linspace(1.0, 0.2, count)[:, None, None, None]
    return smooth * contrast


def _gaussian(count: int, n: int) -> Complex[Tensor, "b n"]:
    drawn = torch.view_as_complex(torch.randn(count, n, 2, generator=torch.Generator().manual_seed(0)))
    return drawn * drawn.abs().square().mean(dim=1, keepdim=True).rsqrt()


def _encode(codec: Any, image: Tensor, *, n0: float = esno_to_n0(ESNO_DB), grad: bool = False) -> Frame:  # noqa: ANN401
    with torch.set_grad_enabled(grad):
        if isinstance(codec, InformedCodec):
            rngs = image_rngs(0, image)
            return codec.encode_informed(image, n0, lambda symbols: AWGN()(symbols, n0, rng=rngs))
        frame: Frame = codec.encode(image, n0)
        return frame


def _received(frame: Frame, image: Tensor, esno_db: float) -> Received:
    got = AWGN()(frame.symbols, esno_to_n0(esno_db), rng=image_rngs(0, image))
    c, h, w = image.shape[1:]
    return Received(got.symbols, got.n0, gain=got.gain, image_shape=(c, h, w), header=frame.header)


def _row(received: Received, i: int) -> Received:
    rows = slice(i, i + 1)
    gain = None if received.gain is None else received.gain[rows]
    header = None if received.header is None else received.header[rows]
    return Received(
        received.symbols[rows], received.n0[rows], gain=gain, image_shape=received.image_shape, header=header
    )


def _decoded(got: Any) -> Decoded:  # noqa: ANN401 - a tensor or a tuple
    return Decoded(got) if isinstance(got, Tensor) else Decoded(*got)


def _energy(frame: Frame) -> Float[Tensor, " b"]:
    return frame.symbols.detach().abs().square().mean(dim=1)


CHECKS: dict[str, Callable[..., list[Finding]]] = {"codecs": check_codec, "channels": check_channel}
