"""What a wish comes to: one picture through one codec over one channel, as `compare` sends it, bit for bit.

Codecs, channels and what was encoded are kept. Noise is drawn anew: that takes a hundredth of the time of a network,
and any channel's draws are then those of `compare`.
"""

from __future__ import annotations

import copy
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.flowgraphs.comparison import Frames, Pixels, is_logits, pixels
from semlink.flowgraphs.play.pictures import Picture, Pictures
from semlink.flowgraphs.play.walk import Walks
from semlink.flowgraphs.play.wishes import Scene, Stride, Wish
from semlink.flowgraphs.specs import DEFAULT_MCS, PUBLISHED, make_channel, make_codecs, parse_ratio
from semlink.neural import zoo
from semlink.phy import metrics
from semlink.phy.impairments import Medium
from semlink.phy.link import Channel, Codec, Frame, InformedCodec, Link, Received, Rng, Transmission, check_frame
from semlink.phy.rng import image_rngs
from semlink.phy.security import Overheard, link_of

AnyCodec = Codec | InformedCodec
Points = Float[np.ndarray, "points 2"]
Made = TypeVar("Made")
KEPT = 24
"""Codecs, and channels, that are kept."""
LATEST = 32
"""Pictures received that are kept, to be judged."""
MOST_POINTS = 1500
"""Received symbols of a picture that are shown."""
MOST_IDEAL = 256
"""Distinct symbols of a transmitter up to which they are shown as its constellation."""


MOST_LOOKED = 4096
"""Symbols that are looked at for it: every point of 256QAM is among them, but for one frame in 30,000."""


class GoneError(Exception):
    """Whoever asked has left."""


@dataclass(frozen=True)
class Shown:
    """What came of a wish.

    Attributes:
        levels: the picture received, (h, w, c).
        figures: what a caption says, for JSON.
        points: received symbols, some of them.
        ideal: the constellation that was sent from, empty of an analogue code.
    """

    levels: Pixels
    figures: dict[str, Any]
    points: Points
    ideal: Points


class Links:
    """Codecs over channels, kept as long as they are asked for. Several threads may ask.

    Args:
        pictures: what is sent.
    """

    def __init__(self, pictures: Pictures) -> None:
        self._pictures, self._frames, self._walks = pictures, Frames(), Walks()
        self._channels, self._codecs = _Lately[Medium](KEPT), _Lately[AnyCodec](KEPT)
        self._lock, self._latest = threading.Lock(), OrderedDict[Wish, Shown]()

    def send(self, wish: Wish, gone: Callable[[], bool] = lambda: False, *, judged: bool = True) -> Shown:
        """Send a picture as `semlink compare --realisations 1` does.

        Args:
            wish: what is sent.
            gone: whether whoever asked has left.
            judged: with the SSIM, which takes as long as some codecs; a page asks for it when its slider rests.

        Raises:
            ValueError: a name, option or ratio that is refused, or a codec that delivers no picture.
            GoneError: nobody waits for it any more.
        """
        picture, shown = self._pictures.find(wish.scene.picture), self._find(wish)
        if shown is None:
            link = link_of(self.codec(wish.scene, wish.codec), self.channel(wish.scene.channel), clips=True)
            shown = self._carried(wish, picture, link, image_rngs(wish.scene.seed, picture.image), gone)
        if judged and "ssim" not in shown.figures:
            shown = replace(shown, figures={**shown.figures, "ssim": _ssim(shown.levels, picture.levels)})
        self._keep(wish, shown)
        return shown

    def _find(self, wish: Wish) -> Shown | None:
        with self._lock:
            return self._latest.get(wish)

    def _keep(self, wish: Wish, shown: Shown) -> None:
        """The latest, to be judged: who asks for a picture asks for its SSIM next."""
        with self._lock:
            self._latest[wish] = shown
            self._latest.move_to_end(wish)
            while len(self._latest) > LATEST:
                self._latest.popitem(last=False)

    def step(self, stride: Stride, gone: Callable[[], bool] = lambda: False) -> Shown:
        """Send a picture at a step of a walk: one gain a picture, those of successive ones correlated.

        Raises:
            ValueError: as `send`, or a channel without a gain to walk through.
            GoneError: nobody waits for it any more.
        """
        wish = stride.wish
        picture, fading = self._pictures.find(wish.scene.picture), self.channel(wish.scene.channel)
        here = self._walks.at(fading, wish.scene.seed, stride.doppler, stride.step)
        codec = self.codec(wish.scene, wish.codec)
        if isinstance(codec, InformedCodec):
            raise ValueError(f"--codec {wish.codec}: whoever knows the fades does not walk; give adaptive or outage")
        rng = image_rngs(wish.scene.seed, picture.image, realisation=stride.step)
        got = self._carried(wish, picture, link_of(codec, here, clips=True), rng, gone)
        return replace(got, figures={**got.figures, "here_db": wish.esno_db + here.gain_db})

    def channel(self, spec: str) -> Medium:
        """A channel by its specification.

        Raises:
            ValueError: as `make_channel`.
        """
        return self._channels.get(spec, lambda: make_channel(spec, coherence=None, csi=None, equaliser=None))

    def codec(self, scene: Scene, name: str) -> AnyCodec:
        """A codec by its name.

        Raises:
            ValueError: as `make_codecs`, or one of those that show nothing.
        """
        if name.startswith(PUBLISHED):
            raise ValueError(f"--codec {name}: a published curve is no link; `semlink compare` draws it")
        channel = self.channel(scene.channel)

        def make() -> AnyCodec:
            made = make_codecs([name], ratio=parse_ratio(scene.ratio), mcs=DEFAULT_MCS, channel=channel)
            if len(made) != 1:
                raise ValueError(f"--codec {name}: stands for {', '.join(made)}; give them one by one")
            return made[name]

        return self._codecs.get(_codec_key(scene, name), make)

    def _carried(
        self, wish: Wish, picture: Picture, link: Link, rng: Sequence[torch.Generator], gone: Callable[[], bool]
    ) -> Shown:
        _go_on(gone)
        frame = self._frame(wish, picture, link, rng)
        _go_on(gone)
        watched, link = _watching(link)
        got = link.carry(frame, picture.image.shape[1:], wish.esno_db, rng=rng)
        if is_logits(got):
            raise ValueError(f"--codec {wish.codec}: delivers a class and no picture; give it to `semlink compare`")
        figures = _figures(got, picture.image, link, watched.labels)
        return Shown(pixels(got.image), figures, _points(watched.symbols), _ideal(frame.symbols))

    def _frame(self, wish: Wish, picture: Picture, link: Link, rng: Sequence[torch.Generator]) -> Frame:
        if isinstance(link.codec, InformedCodec):
            return link.encode(picture.image, wish.esno_db, rng=rng)
        level = None if getattr(link.codec, "ignores_n0", False) else wish.esno_db
        key = (*_codec_key(wish.scene, wish.codec), wish.scene.picture, level)
        frame = self._frames.get(key, lambda: link.encode(picture.image, wish.esno_db, rng=rng))
        check_frame(frame, 1)
        return frame


def _codec_key(scene: Scene, name: str) -> tuple[str, str, str]:
    """What a codec depends on: a network, which takes longest to load, on no channel."""
    return name, scene.ratio, "" if _is_network(name) else scene.channel


@lru_cache(maxsize=256)
def _is_network(name: str) -> bool:
    return re.split(r"[:+@]", name)[0] in {*zoo.names(), *zoo.cards()}


class Watched:
    """A channel that keeps what it has handed to the decoder.

    Attributes:
        symbols: that, scaled to what was sent.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.symbols: Complex[Tensor, "b n"] = torch.zeros(1, 0, dtype=torch.complex64)
        self.labels: dict[str, str] = dict(getattr(channel, "labels", {}))
        self.notes: dict[str, str] = dict(getattr(channel, "notes", {}))

    def __call__(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng) -> Received:
        """Carry symbols as the channel does."""
        received = self._channel(symbols, n0, rng=rng)
        self.symbols = received.unbiased().symbols.detach()
        return received


def _watching(link: Link) -> tuple[Watched, Link]:
    """The same link, whose reception is seen: of an eavesdropper's, that is hers."""
    if not isinstance(link.codec, Overheard):
        watched = Watched(link.channel)
        return watched, replace(link, channel=watched)
    heard = copy.copy(link.codec)
    watched = Watched(heard.eavesdropper.channel)
    heard.eavesdropper = replace(heard.eavesdropper, channel=watched)
    return watched, replace(link, codec=heard)


def _go_on(gone: Callable[[], bool]) -> None:
    if gone():
        raise GoneError


def _figures(
    got: Transmission, sent: Float[Tensor, "1 c h w"], link: Link, labels: Mapping[str, str]
) -> dict[str, Any]:
    """The figures of a caption but for the SSIM: the PSNR as the table of `compare` has it."""
    errors = metrics.squared_error(got.image, sent).numpy()[:, None]
    knows = "nothing of the channel" if getattr(link.codec, "ignores_n0", False) else "the average Es/N0"
    notes = {"transmitter": f"knows {knows}", **got.notes}
    csi = labels.get("csi", "")
    return {
        "psnr_db": metrics.psnr_estimate(errors).value,
        "failed": bool(got.failed[0]),
        "ratio": got.ratio,
        "uses": dict(got.uses),
        "mode": got.modes[0] if got.modes else "",
        "notes": {**notes, **({"receiver's CSI": csi} if csi else {})},
    }


def _ssim(levels: Pixels, sent: Pixels) -> float:
    """As the table of `compare` has it, which is of levels too; unknown of an image that is too small for it."""
    if min(sent.shape[:2]) < metrics.SSIM_MIN_SIDE:
        return math.nan
    got, own = (torch.from_numpy(np.array(one)).permute(2, 0, 1)[None] for one in (levels, sent))
    return metrics.ssim(got, own)


def _points(symbols: Complex[Tensor, "1 n"]) -> Points:
    """Some of them, evenly spread over the frame."""
    row = symbols[0]
    chosen = row[:: max(1, -(-len(row) // MOST_POINTS))]
    return torch.view_as_real(chosen.to(torch.complex64)).cpu().numpy()


def _ideal(symbols: Complex[Tensor, "1 n"]) -> Points:
    some = symbols[0, :MOST_LOOKED].detach().cpu().numpy().astype(np.complex64)
    distinct = np.unique(np.round(some, 5))
    kept = distinct if len(distinct) <= MOST_IDEAL else distinct[:0]
    return np.stack([kept.real, kept.imag], axis=1).astype(np.float32)


class _Lately(Generic[Made]):
    """What takes time to make, by key; of more than `most`, the one that was not asked for the longest goes."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._made: OrderedDict[Hashable, Made] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """One at a time is made: two tabs that ask for the same network load it once."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
                while len(self._made) > self._most:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return self._made[key]
