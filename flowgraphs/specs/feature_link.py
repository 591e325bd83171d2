"""The digital opponent of a task codec: features quantised, entropy coded, and sent by 5G LDPC and QAM."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.baselines.adaptation import average_failures, outage_failures
from semlink.baselines.blocks import Plan, channel_decode, channel_encode, plan_blocks
from semlink.baselines.budget import has_block
from semlink.baselines.chain import C_INIT, by_plan
from semlink.baselines.mcs import MCS, NR_SCHEMES, parse_mcs
from semlink.baselines.separate import HEADER_BITS, scheme_of
from semlink.flowgraphs.specs.feature_code import Quantiser, train_quantiser
from semlink.flowgraphs.specs.teachers import FEATURES, make_teacher
from semlink.neural.classifiers import Teacher
from semlink.phy.channels import AWGN
from semlink.phy.constellation import QAM
from semlink.phy.fec import descramble_llr, scramble
from semlink.phy.link import Channel, Decoded, Frame, Received, check_image
from semlink.phy.sources import cifar10_bytes

FEATURES_FORM = f"{FEATURES}:SCHEME,teacher=TEACHER[,bits=1-6][,uses=N]"
"""Its name in words; SCHEME is adaptive, outage or a fixed one."""
TRAINED = 1000
"""Training images of CIFAR-10 that the quantiser is trained on."""
USES, BITS = 128, 3
MOST_BITS = 6


class FeatureLink:
    """A `Codec` that sends a teacher's features as bits, and judges by the teacher's own head at the receiver.

    As many features are sent as fit into the budget, those that vary most first; the receiver takes the others for
    their mean, and all of them where the block is lost. Of the schemes of 5G NR each image gets the one of least
    expected squared error of its features.

    Args:
        teacher: whose last layer is a linear one on its features; both ends have it.
        quantiser: of the features.
        uses: channel uses of an image.
        scheme: a fixed one; None to adapt to the average Es/N0.
        fading: the channel whose statistics the transmitter knows beside it; None for AWGN.

    Raises:
        ValueError: a teacher without such a layer, or a budget that carries no code block.
    """

    def __init__(
        self,
        teacher: Teacher,
        quantiser: Quantiser,
        *,
        uses: int = USES,
        scheme: MCS | None = None,
        fading: Channel | None = None,
    ) -> None:
        self.teacher, self.quantiser, self.uses, self.classes = teacher, quantiser, uses, teacher.classes
        self.head = teacher.head
        self.schemes = [scheme] if scheme else [mcs for mcs in NR_SCHEMES if has_block(uses, mcs, "ldpc")]
        if not self.schemes or not has_block(uses, self.schemes[0], "ldpc"):
            raise ValueError(f"uses={uses} channel uses carry no code block of {scheme or 'any scheme'}")
        self.adapts, self.fading = scheme is None, fading
        self._failures: dict[float, np.ndarray] = {}

    @property
    def ignores_n0(self) -> bool:
        """Whether an image is sent as the same symbols at every Es/N0."""
        return not self.adapts

    def encode(self, image: Float[Tensor, "b 3 h w"], n0: float) -> Frame:
        """The features of each image, as many as fit, in `uses` symbols.

        Raises:
            ValueError: images out of range, or of a shape that the teacher was not made for.
        """
        check_image(image)
        self.teacher.check_image(image)
        features = self.teacher(image).features.double().cpu().numpy()
        index, fails = self.quantiser.quantise(features), self._fails(n0)
        chosen = [self._choose(one, row, fails) for one, row in zip(features, index, strict=True)]
        plans = [plan_blocks(self.uses, self.schemes[scheme]) for scheme, _ in chosen]
        words = [self._word(row, count) for row, (_, count) in zip(index, chosen, strict=True)]
        symbols = torch.empty(len(image), self.uses, dtype=torch.complex64)
        for plan, rows in by_plan(plans):
            bits = torch.zeros(len(rows), plan.info_bits, dtype=torch.uint8)
            for i, row in enumerate(rows):
                bits[i, : len(words[row])] = torch.tensor(words[row], dtype=torch.uint8)
            symbols[rows] = QAM(plan.mcs.order).map(scramble(channel_encode(bits, plan), C_INIT))
        return Frame(
            symbols.to(image.device),
            {"payload": self.uses},
            power="constellation",
            notes=self._notes(),
            header=[NR_SCHEMES.index(plan.mcs) for plan in plans] if self.adapts else None,
            bits=self._ledger(plans, words),
            modes=[str(plan.mcs) for plan in plans],
        )

    def decode(self, received: Received) -> Decoded:
        """Logits (b, classes) of the features that arrived.

        Raises:
            ValueError: no header where the scheme adapts, one of no scheme, or another number of symbols than are sent.
        """
        received = received.unbiased()
        if received.symbols.shape[1] != self.uses:
            raise ValueError(f"{received.symbols.shape[1]} symbols received; the features have {self.uses}")
        if self.adapts and received.header is None:
            raise ValueError("header=None: an adaptive link needs the burst header that tells the scheme")
        rows = len(received.symbols)
        header = received.header if self.adapts and received.header is not None else [None] * rows
        features, failed = np.tile(self.quantiser.mean, (rows, 1)), torch.zeros(rows, dtype=torch.bool)
        plans = [plan_blocks(self.uses, self.schemes[0] if one is None else scheme_of(one, "ldpc")) for one in header]
        for plan, group in by_plan(plans):
            llr = QAM(plan.mcs.order).llr(received.symbols[group], received.n0[group])
            bits, good = channel_decode(descramble_llr(llr, C_INIT).cpu(), plan)
            for row, word, arrived in zip(group, bits.int().tolist(), good.all(dim=1).tolist(), strict=True):
                failed[row] = not arrived
                if arrived:
                    features[row] = self._read(word)
        with torch.no_grad():
            logits = self.head(torch.from_numpy(features).float())
        return Decoded(logits.to(received.symbols.device), failed, failed.long(), torch.ones_like(failed.long()))

    @property
    def _count_bits(self) -> int:
        """That tell how many features follow."""
        return math.ceil(math.log2(len(self.quantiser.mean) + 1))

    def _fails(self, n0: float) -> np.ndarray:
        """How often each scheme fails that may be chosen."""
        if not self.adapts:
            return np.zeros(1)
        esno_db = round(-10 * math.log10(n0), 9)
        if esno_db not in self._failures:
            known = self.fading is not None and not isinstance(self.fading, AWGN)
            every = (
                outage_failures(self.uses, esno_db, self.fading)
                if known and self.fading is not None
                else average_failures(self.uses, esno_db)
            )
            self._failures[esno_db] = np.array([every[NR_SCHEMES.index(mcs)] for mcs in self.schemes])
        return self._failures[esno_db]

    def _choose(self, features: np.ndarray, index: np.ndarray, fails: np.ndarray) -> tuple[int, int]:
        """The scheme of least expected squared error, and how many features it carries."""
        order, quantiser = self.quantiser.order, self.quantiser
        lost = (features - quantiser.mean)[order] ** 2
        kept = (features - quantiser.restore(index))[order] ** 2
        error = np.concatenate([[0.0], np.cumsum(kept - lost)]) + lost.sum()  # by how many are sent
        ends = np.ceil(np.concatenate([[0.0], quantiser.lengths(index)])) + 1
        room = np.array([plan_blocks(self.uses, mcs).info_bits - self._count_bits for mcs in self.schemes])
        counts = np.maximum(np.searchsorted(ends, room, side="right") - 1, 0)
        scheme = int(np.argmin(fails * error[0] + (1 - fails) * error[counts]))
        return scheme, int(counts[scheme])

    def _word(self, index: np.ndarray, count: int) -> list[int]:
        head = [count >> i & 1 for i in reversed(range(self._count_bits))]
        return [*head, *self.quantiser.encode(index, count)]

    def _read(self, bits: Sequence[int]) -> np.ndarray:
        size = self._count_bits
        count = min(int("".join(map(str, bits[:size])), 2), len(self.quantiser.mean))
        index = self.quantiser.decode(bits[size:], count)
        return np.where(index >= 0, self.quantiser.restore(np.maximum(index, 0)), self.quantiser.mean)

    def _ledger(self, plans: Sequence[Plan], words: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        source = torch.tensor([len(word) for word in words])
        info, crc, coded = (
            torch.tensor([getattr(plan, name) for plan in plans]) for name in ("info_bits", "crc_bits", "coded_bits")
        )
        bits = {"source": source, "padding": info - source, "crc": crc, "parity": coded - info - crc}
        return {**bits, "header": torch.full_like(info, HEADER_BITS)} if self.adapts else bits

    def _notes(self) -> dict[str, str]:
        cost = f"{self.teacher.name}, {self.teacher.multiply_adds / 1e6:.1f} M multiply-adds an image"
        count, levels = len(self.quantiser.mean), len(self.quantiser.levels)
        notes = {
            "source": f"{count} features ({cost}) by a Lloyd–Max quantiser of {levels} levels, arithmetically coded "
            "by the frequencies of training images; as many as fit",
            "receiver": f"has the head of {self.teacher.name}; knows the channel uses"
            + (f"; the header, {HEADER_BITS} bits beside them, tells the scheme" if self.adapts else " and the scheme"),
        }
        if self.adapts:
            knows = "the average Es/N0" + ("" if self.fading is None else " and the fading statistics")
            notes["transmitter"] = f"knows {knows}, and picks the scheme of least expected error of the features"
        return notes


def make_feature_link(name: str, channel: Channel) -> FeatureLink | None:
    """The link of `FEATURES_FORM`; None for any other name.

    Raises:
        ValueError: a scheme, teacher or option that there is not, naming it.
    """
    stem, _, said = name.partition(":")
    if stem != FEATURES:
        return None
    scheme, *options = said.split(",")
    given = dict(option.partition("=")[::2] for option in options)
    unknown = next((one for one in given if one not in ("teacher", "bits", "uses")), None)
    if not scheme or "teacher" not in given or unknown is not None or len(given) < len(options):
        raise ValueError(f"{name}: must be {FEATURES_FORM}")
    bits, uses = (_whole(name, key, given.get(key), usual) for key, usual in (("bits", BITS), ("uses", USES)))
    if not 1 <= bits <= MOST_BITS:
        raise ValueError(f"{name}: bits={bits} must be from 1 to {MOST_BITS}, for each feature")
    fixed = None if scheme in ("adaptive", "outage") else parse_mcs(scheme)
    if scheme == "outage" and getattr(channel, "labels", {}).get("csi") == "none":
        raise ValueError(f"{name}: nobody knows the fades with --csi none")
    teacher = make_teacher(given["teacher"])
    fading = channel if scheme == "outage" else None
    return FeatureLink(teacher, trained_quantiser(given["teacher"], bits), uses=uses, scheme=fixed, fading=fading)


@lru_cache(maxsize=8)
def trained_quantiser(teacher: str, bits: int) -> Quantiser:
    """The quantiser of a teacher's features, trained on the first `TRAINED` training images of CIFAR-10.

    Raises:
        ValueError: a teacher or images that are not to be had.
    """
    image = cifar10_bytes("train")[:TRAINED].float() / 255
    return train_quantiser(make_teacher(teacher)(image).features.double().numpy(), bits)


def _whole(name: str, key: str, text: str | None, usual: int) -> int:
    if text is not None and not re.fullmatch("[0-9]{1,6}", text):
        raise ValueError(f"{name}: {key}={text} must be a whole number")
    return usual if text is None else int(text)
