"""Several users on one array, as the link of one of them: the uplink and its detectors, the downlink and its precoders.

They are `semlink.phy.mimo.Scheme`s of one stream, that of user 0; the other users send random QPSK of unit
energy, drawn from the image's generator. Channels are given by group, or with g = 1 once for all groups of an image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.phy.link import ERASED
from semlink.phy.mimo.filters import apply, filter_streams, known
from semlink.phy.mimo.spatial import Detected, Rngs
from semlink.phy.parameters import check_choice, check_whole
from semlink.phy.rng import rows

UplinkDetector = Literal["zf", "mmse", "sic"]
Precoder = Literal["mrt", "zf", "rzf"]


@dataclass(frozen=True)
class Uplink:
    """Single-antenna users, each of energy 1 a channel use, on one array that knows all their channels.

    Args:
        users: users, each on a transmit antenna of its own (`tx` of the scheme).
        rx: antennas of the array.
        detector: "zf", "mmse" (with its bias, interference included in n0), or "sic": the users of greater SINR than
            user 0 are detected first, decided hard and subtracted, right or wrong; see `semlink.phy.mimo.sic`.

    Raises:
        ValueError: an option outside of these, or more users than antennas with "zf".
    """

    users: int
    rx: int
    detector: UplinkDetector = "zf"
    streams = span = 1
    informed = False
    joint = True

    def __post_init__(self) -> None:
        _check_users(self.users, "rx", self.rx)
        check_choice("detector", self.detector, get_args(UplinkDetector))
        if self.detector == "zf" and self.users > self.rx:
            raise ValueError(
                f"users={self.users} on rx={self.rx} antennas cannot be zero-forced; "
                "use at most rx users, or detector='mmse' or 'sic'"
            )

    @property
    def tx(self) -> int:
        """One antenna a user."""
        return self.users

    @property
    def equaliser(self) -> str:
        """The detector."""
        return self.detector

    def precode(
        self,
        symbols: Complex[Tensor, "b g 1"],
        h: Complex[Tensor, "b _ rx users"] | None,  # noqa: ARG002
        n0: float,  # noqa: ARG002
        *,
        rng: Rngs,
    ) -> Complex[Tensor, "b g 1 users"]:
        """The symbols on the antenna of user 0, QPSK on the others'."""
        return _with_others(symbols, self.users, rng)[:, :, None]

    def detect(
        self,
        observed: Complex[Tensor, "b g 1 rx"],
        h: Complex[Tensor, "b _ rx users"],
        noise: Float[Tensor, "b _"],
        n0: float,  # noqa: ARG002
        *,
        told: Complex[Tensor, "b _ rx users"] | None = None,  # noqa: ARG002
    ) -> Detected:
        """The symbols of user 0."""
        seen = observed[:, :, 0]
        if self.detector != "sic":
            return filter_streams(seen, h, noise, zero_forcing=self.detector == "zf", first=1)
        from semlink.phy.mimo.sic import cancel  # here and not above: as in kbest.py

        k = max(h.shape[1], noise.shape[1])
        plan = cancel(seen, h.expand(-1, k, -1, -1), noise.expand(-1, k))
        symbols = (plan.w * seen).sum(dim=-1) - plan.offset
        return Detected(symbols[..., None], plan.n0[..., None], plan.bias[..., None])


@dataclass(frozen=True, eq=False)
class OccupiedUplink(Uplink):
    """The same array, where it is known what the other users send: `others` in place of their random QPSK.

    All else that is drawn is drawn as without them: user 0 meets the gains and the noise that it meets there.

    Args:
        others: symbols of users 1, 2, … of each image, (b, g, k) with k below `users`; 0 and further users are silent.

    Raises:
        ValueError: as `Uplink`, or more others than there are users beside user 0.
    """

    others: Complex[Tensor, "b g k"] = field(default_factory=lambda: torch.zeros(1, 1, 0, dtype=torch.complex64))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.others.shape[2] >= self.users:
            raise ValueError(
                f"others={tuple(self.others.shape)}: {self.others.shape[2]} of them beside user 0; there are "
                f"{self.users} users in all"
            )

    def precode(
        self, symbols: Complex[Tensor, "b g 1"], h: Complex[Tensor, "b _ rx users"] | None, n0: float, *, rng: Rngs
    ) -> Complex[Tensor, "b g 1 users"]:
        """The symbols on the antenna of user 0, those of `others` on the next ones.

        Symbols that are not those of `others` in number probe the array: they meet QPSK, as the receiver reckons.
        """
        sent = super().precode(symbols, h, n0, rng=rng)
        if symbols.shape[:2] != self.others.shape[:2]:
            return sent
        sent = sent.clone()
        sent[..., 1:] = 0
        sent[:, :, 0, 1 : 1 + self.others.shape[2]] = self.others.to(sent)
        return sent


@dataclass(frozen=True)
class Downlink:
    """An array that knows all channels sends to single-antenna users.

    The energy of a use is 1 in all, for every realisation: the precoding matrix is scaled to Frobenius norm 1, one
    scale for all users. Matrices before that: "mrt" H^H; "zf" H^H (H H^H)^-1; "rzf" H^H (H H^H + users·N0 I)^-1 (C. B.
    Peel, B. M. Hochwald and A. L. Swindlehurst, "A vector-perturbation technique for near-capacity multiantenna
    multiuser communication - part I", IEEE Trans. Commun. 53 (2005) 195-202). A user is taken to know the gain of its
    own stream and the power of the others at its antenna, as pilots along the beams would tell; those are not counted.

    Args:
        users: users, each a receive antenna (`rx` of the scheme).
        tx: antennas of the array.
        precoder: as above.

    Raises:
        ValueError: an option outside of these, or more users than antennas with "zf".
    """

    users: int
    tx: int
    precoder: Precoder = "rzf"
    streams = span = 1
    informed = True
    joint = False

    def __post_init__(self) -> None:
        _check_users(self.users, "tx", self.tx)
        check_choice("precoder", self.precoder, get_args(Precoder))
        if self.precoder == "zf" and self.users > self.tx:
            raise ValueError(
                f"users={self.users} from tx={self.tx} antennas cannot be zero-forced; "
                "use at most tx users, or precoder='rzf' or 'mrt'"
            )

    @property
    def rx(self) -> int:
        """One antenna a user."""
        return self.users

    @property
    def equaliser(self) -> str:
        """The precoder, since a user only divides by its gain."""
        return self.precoder

    def precode(
        self,
        symbols: Complex[Tensor, "b g 1"],
        h: Complex[Tensor, "b _ users tx"] | None,
        n0: float,
        *,
        rng: Rngs,
    ) -> Complex[Tensor, "b g 1 tx"]:
        """The symbols along the beam of user 0, QPSK along those of the others.

        Raises:
            ValueError: `h` is None.
        """
        beams = self._beams(known(h, f"{self.precoder} downlink"), n0)
        return apply(beams, _with_others(symbols, self.users, rng))[:, :, None]

    def detect(
        self,
        observed: Complex[Tensor, "b g 1 users"],
        h: Complex[Tensor, "b _ users tx"],
        noise: Float[Tensor, "b _"],
        n0: float,
        *,
        told: Complex[Tensor, "b _ users tx"] | None = None,
    ) -> Detected:
        """What user 0 makes of its own antenna: it divides by its gain, and the others' streams count as noise."""
        gains = (h[:, :, :1] @ self._beams(h if told is None else told, n0))[
            :, :, 0
        ].detach()  # of each stream at user 0: (b, g, users)
        power = gains.abs().square()
        own, foreign = power[..., :1], power[..., 1:].sum(dim=-1, keepdim=True)
        variance = (noise[..., None] + foreign) / own.clamp_min(1e-30)
        alive = (own > 0) & (variance < ERASED)
        inverse = torch.where(alive, gains[..., :1].conj() / own.clamp_min(1e-30), 0.0)
        variance = torch.where(alive, variance, ERASED).expand(*observed.shape[:2], 1)
        return Detected(observed[:, :, 0, :1] * inverse, variance)

    @torch.no_grad()
    def _beams(self, h: Complex[Tensor, "b g users tx"], n0: float) -> Complex[Tensor, "b g tx users"]:
        """The precoding matrix, of Frobenius norm 1; any, where no user can be reached."""
        if self.precoder == "mrt":
            largest = h.abs().amax(dim=(-2, -1), keepdim=True)
            beams = h.mH / torch.where(largest > 0, largest, 1.0)  # a square must not underflow
        else:
            from semlink.phy.mimo.kernels import linear_filters  # here and not above: as in kbest.py

            ridge = torch.full(h.shape[:2], self.users * n0, dtype=h.real.dtype, device=h.device)
            # The receive filter of the reversed channel, read backwards.
            beams = linear_filters(h.mH, ridge, zero_forcing=self.precoder == "zf")[0].mH
        norm = beams.abs().square().sum(dim=(-2, -1), keepdim=True).sqrt()
        return torch.where(norm > 0, beams / norm.clamp_min(1e-30), (self.users * self.tx) ** -0.5)


def _with_others(symbols: Complex[Tensor, "b g 1"], users: int, rng: Rngs) -> Complex[Tensor, "b g users"]:
    """The symbols of user 0, and QPSK of the others."""
    b, g, _ = symbols.shape
    signs = [torch.randint(2, (g, users - 1, 2), generator=one, device=one.device) for one in rows(rng, b)]
    others = torch.view_as_complex((1.0 - 2.0 * torch.stack(signs)) * 0.5**0.5)
    return torch.cat([symbols, others.to(symbols)], dim=-1)


def _check_users(users: int, name: str, antennas: int) -> None:
    check_whole("users", users, 1, 256, of="users")
    check_whole(name, antennas, 1, 256, of="antennas")
