"""The codecs that the service has: by the name in a request, or by the header of a burst."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from semlink.baselines.layered import digital_codec
from semlink.baselines.mcs import NR_SCHEMES
from semlink.flowgraphs.protocol import codebook
from semlink.flowgraphs.service.kept import Kept, Lately
from semlink.flowgraphs.service.task_links import TaskLinks
from semlink.flowgraphs.specs import CLASSIFY, JOINT, prompt_sha256, receive_with, register_sources, split_codec
from semlink.neural import zoo
from semlink.neural.classifiers import TEACHERS
from semlink.neural.diffusion import ReceiverCard, Refiner, SymbolDenoiser, find_receiver, read_receiver
from semlink.neural.models import Network
from semlink.neural.zoo import Card
from semlink.phy.link import Channel, Codec, Frame, channel_uses
from semlink.phy.waveform import BurstHeader

KEPT = 8
"""Networks that stay in memory, and as many receivers; of more, the one that was not asked for the longest goes."""
PROMPTS = "prompt-ldpc-qam"
"""The digital codec that has weights."""
LOOK_S = 1.0
"""For which a card that was found is not looked for again: a look takes 0.2 ms, and an image needs several."""


class Shelf:
    """Codecs, loaded when they are first asked for. Several threads may ask.

    Args:
        own: codecs beside those of the package, by "user:48" to "user:63".
        channel: whose statistics the scheme "outage" knows; None for none.

    Raises:
        ValueError: an own codec under another name.
    """

    def __init__(self, own: Mapping[str, Codec], channel: Channel | None = None) -> None:
        for name in own:
            if codebook.codec_number(name) not in codebook.USER:
                low, high = codebook.USER[0], codebook.USER[-1]
                raise ValueError(f"own codec {name!r} must be named user:{low} to user:{high}")
        register_sources()
        self._own = dict(own)
        self._channel = channel
        self._codecs, self._receivers = Kept[Network](KEPT), Kept[Refiner | SymbolDenoiser](KEPT)
        self._tasks = TaskLinks()
        self._cards, self._receiver_cards = Lately[Card](LOOK_S), Lately[ReceiverCard](LOOK_S)

    @property
    def loads(self) -> int:
        """Codecs and receivers that were loaded for the thread that asks this."""
        return self._codecs.loads + self._receivers.loads + self._tasks.loads

    def encoder(self, name: str, ratio: float) -> Codec:
        """The codec of a request to encode.

        Raises:
            ValueError: one that is not there, or not at this ratio.
        """
        stem, scheme = codebook.split_name(name)
        if scheme:
            return digital_codec(source=_source(stem), mcs=scheme, ratio=ratio, fading=self._channel)
        if stem in codebook.NEURAL.values():
            return self._load(self._card(stem, ratio), ratio)
        if stem in codebook.TASKS.values():
            return self._tasks.within(stem, ratio)
        return self._find_own(stem)

    def decoder(self, header: BurstHeader) -> Codec:
        """The codec of a header.

        Raises:
            ValueError: one that is not there, or that makes no such number of symbols of such an image.
        """
        name, ratio = codebook.codec_name(header.codec), codebook.ratio_of(header)
        if header.codec in codebook.DIGITAL:
            return digital_codec(source=_source(name), mcs=codebook.scheme_name(header.mcs), ratio=ratio)
        if header.codec in codebook.USER:
            return self._find_own(name)
        if header.codec in codebook.TASKS:
            return self._tasks.of_uses(name, header.symbols)
        card = _card_of(header)
        return self._load(card, card.ratio)

    def check(self, name: str, ratio: float, receiver: str = "") -> None:
        """Raise ValueError unless there are such a codec, ratio and receivers; nothing is loaded for it."""
        stem, scheme = codebook.split_name(name)
        if not scheme and stem in codebook.NEURAL.values():
            self._card(stem, ratio)
        elif stem in codebook.TASKS.values():
            self._tasks.sha256(stem)
        elif not scheme:
            self._find_own(stem)
        self._cards_behind(name, receiver)

    def check_header(self, header: BurstHeader, receiver: str = "") -> None:
        """Raise ValueError unless there are the codec of a header and such receivers; nothing is loaded for it."""
        name = codebook.codec_name(header.codec)
        if header.codec in codebook.USER:
            self._find_own(name)
        elif header.codec in codebook.TASKS:
            self._tasks.sha256(name)
        elif header.codec not in codebook.DIGITAL:
            _card_of(header)
        self._cards_behind(name, receiver)

    def ratio_of(self, header: BurstHeader) -> float:
        """At which `encoder` has the codec of a header; nothing is loaded for it.

        Raises:
            ValueError: one that is not there.
        """
        told = codebook.ratio_of(header)
        if header.codec in codebook.USER:
            return float(getattr(self._find_own(codebook.codec_name(header.codec)), "ratio", told))
        cardless = header.codec in codebook.DIGITAL or header.codec in codebook.TASKS
        return told if cardless else _card_of(header).ratio

    def behind(self, codec: Codec, name: str, receiver: str) -> Codec:
        """A codec of this name with receivers behind it, "" for none.

        Raises:
            ValueError: one that is not there, or that the codec cannot have.
        """
        if not receiver:
            return codec
        specs = split_codec(f"{name}{JOINT}{receiver}")[1]
        return cast(Codec, receive_with(codec, specs, name=name, read=self._read, teach=self._tasks.teacher))

    def weights(self, name: str, ratio: float, receiver: str = "") -> str:
        """What tells the weights of a codec and its receivers from others: hashes, "" where there are none.

        Raises:
            ValueError: one that is not there.
        """
        stem = codebook.split_name(name)[0]
        if stem in codebook.TASKS.values():
            return self._tasks.sha256(stem)
        neural = stem in codebook.NEURAL.values()
        prompts = prompt_sha256() if stem == PROMPTS else ""
        hashes = [self._card(stem, ratio).sha256 if neural else prompts]
        hashes += [card.sha256 for card in self._cards_behind(name, receiver)]
        return ",".join([*hashes, *(TEACHERS[one].sha256 for one in _teachers_in(receiver))])

    def usual_ratio(self, name: str) -> float:
        """1/6, or for a neural codec that has not got it, one that it has."""
        cards = _cards_of(name)
        return cards[0].ratio if cards and not any(card.serves(1 / 6) for card in cards) else 1 / 6

    def _card(self, stem: str, ratio: float) -> Card:
        return self._cards.get((stem, ratio), lambda: zoo.find_card(stem, ratio=ratio))

    def _cards_behind(self, name: str, receiver: str) -> list[ReceiverCard]:
        """Those of the receivers behind a codec, but for teachers, which have none.

        Raises:
            ValueError: a receiver that is not there, or one behind a codec that delivers a class.
        """
        specs = split_codec(f"{name}{JOINT}{receiver}")[1] if receiver else []
        if specs and name in codebook.TASKS.values():
            raise ValueError(f"receiver {specs[0].name}: takes images; {name} delivers a class")
        return [self._receiver_card(spec.name, name) for spec in specs if not spec.name.startswith(CLASSIFY)]

    def _receiver_card(self, receiver: str, name: str) -> ReceiverCard:
        return self._receiver_cards.get((receiver, name), lambda: find_receiver(receiver, codec=name)[0])

    def _load(self, card: Card, ratio: float) -> Codec:
        """One network for all ratios of its weights: ratios are of the users' choice."""
        return zoo.at_ratio(self._codecs.get(card.sha256, lambda: zoo.load(card.name)), ratio)

    def _read(self, card: ReceiverCard, path: Path) -> Refiner | SymbolDenoiser:
        """One network for all options of its receiver."""
        return self._receivers.get(card.sha256, lambda: read_receiver(card, path))

    def _find_own(self, name: str) -> Codec:
        if name not in self._own:
            raise ValueError(f"codec {name!r}: this worker has {', '.join(self._own) or 'no codec of a user'}")
        return self._own[name]


def _teachers_in(receiver: str) -> list[str]:
    """The teachers among receivers."""
    return [one.removeprefix(CLASSIFY) for one in receiver.split(JOINT) if one.startswith(CLASSIFY)]


def scheme_numbers(name: str, frame: Frame) -> list[int]:
    """The MCS number of each image of a frame: what the codec put into the header, or that of the fixed scheme."""
    scheme = codebook.split_name(name)[1]
    if scheme in (codebook.ADAPTIVE, "outage") and frame.header is not None:
        return [codebook.SCHEMES.index(NR_SCHEMES[cast(int, index)]) for index in frame.header]
    return [codebook.scheme_number(scheme) if scheme else 0] * len(frame.symbols)


def _source(stem: str) -> str:
    return stem.removesuffix("-ldpc-qam")


def _cards_of(name: str) -> list[Card]:
    """The model of this name, or all those of the codec."""
    cards = zoo.cards()
    return [cards[name]] if name in cards else [card for card in cards.values() if card.codec == name]


def _card_of(header: BurstHeader) -> Card:
    """The model that made the symbols of a header."""
    name, ratio = codebook.codec_name(header.codec), codebook.ratio_of(header)
    cards = _cards_of(name)
    for card in cards:
        if _makes(card, header):
            return card
    offer = ", ".join(card.offer for card in cards) or "no weights here"
    raise ValueError(
        f"symbols={header.symbols} of a {header.width}x{header.height} image is ratio {ratio:.4g}; {name} has {offer}"
    )


def _makes(card: Card, header: BurstHeader) -> bool:
    """Whether a model makes so many symbols of such an image, at any of its ratios."""
    low, high = card.ratios or (card.ratio, card.ratio)
    shape = 3, header.height, header.width
    return channel_uses(shape, low) <= header.symbols <= channel_uses(shape, high)
