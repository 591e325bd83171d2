"""Multi-antenna schemes of one user: spatial multiplexing, singular-vector precoding, diversity; correlated antennas.

All are `semlink.phy.mimo.Scheme`s: the total transmit energy of a channel use is 1 and N0 is that of one receive
antenna. Channels are given by group, (b, g, rx, tx), or with g = 1 once for all groups of an image, whose filters are
then worked out once. Gradients flow from the received symbols to the sent ones, and none to the channel. A stream of
which nothing arrives, on a channel without rank or without gain, is an erasure: symbols 0 and n0 = `ERASED`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.phy.link import Spatial
from semlink.phy.mimo.filters import apply, combine, fill_water, filter_streams, known
from semlink.phy.mimo.spatial import Detected, Rngs, amplitude, check_antennas
from semlink.phy.parameters import check_choice, check_whole, is_whole

Detector = Literal["mmse", "zf", "k-best"]
PowerAllocation = Literal["water-filling", "equal"]


@dataclass(frozen=True)
class Multiplexing:
    """One stream for each transmit antenna, of energy 1/tx each; the transmitter knows nothing of the channel.

    Args:
        tx: transmit antennas, and streams.
        rx: receive antennas.
        detector: "zf" hands back n0·tx·[(H^H H)^-1]_ii as noise variance and no bias; "mmse" the linear estimate of
            least error, with its bias and n0 = bias (1 - bias), interference included; "k-best" the same, and what the
            antennas received besides, for a codec that detects jointly (`semlink.phy.mimo.kbest_llr`).
        width: candidates that the K-best search keeps.

    Raises:
        ValueError: an option outside of these, or more streams than receive antennas with "zf".
    """

    tx: int
    rx: int
    detector: Detector = "mmse"
    width: int = 16
    span = 1
    informed = False
    joint = True

    def __post_init__(self) -> None:
        check_antennas(self.tx, self.rx)
        check_choice("detector", self.detector, get_args(Detector))
        if self.detector == "zf" and self.tx > self.rx:
            raise ValueError(
                f"tx={self.tx} streams on rx={self.rx} antennas cannot be zero-forced; "
                "use at most rx streams, or detector='mmse'"
            )
        check_whole("width", self.width, 1, 4096, of="candidates")

    @property
    def streams(self) -> int:
        """One an antenna."""
        return self.tx

    @property
    def equaliser(self) -> str:
        """The detector."""
        return self.detector

    def precode(
        self,
        symbols: Complex[Tensor, "b g tx"],
        h: Complex[Tensor, "b _ rx tx"] | None,  # noqa: ARG002
        n0: float,  # noqa: ARG002
        *,
        rng: Rngs,  # noqa: ARG002
    ) -> Complex[Tensor, "b g 1 tx"]:
        """Each stream on its antenna."""
        return symbols[:, :, None] * amplitude(self.tx)

    def detect(
        self,
        observed: Complex[Tensor, "b g 1 rx"],
        h: Complex[Tensor, "b _ rx tx"],
        noise: Float[Tensor, "b _"],
        n0: float,  # noqa: ARG002
        *,
        told: Complex[Tensor, "b _ rx tx"] | None = None,  # noqa: ARG002
    ) -> Detected:
        """Filter by the detector's matrix; see the class for what is handed back."""
        seen = h * amplitude(self.tx)
        found = filter_streams(observed[:, :, 0], seen, noise, zero_forcing=self.detector == "zf")
        if self.detector != "k-best":
            return found
        b, g, _, rx = observed.shape
        spatial = Spatial(observed[:, :, 0], seen.expand(b, g, rx, self.tx), noise.expand(b, g), self.width)
        return Detected(found.symbols, found.n0, found.bias, spatial)


@dataclass(frozen=True)
class Svd:
    """Streams over the right singular vectors of a channel that both ends know: they do not interfere.

    Stream i meets the gain σ_i sqrt(p_i), the largest singular value first. Source: I. E. Telatar, "Capacity of
    multi-antenna Gaussian channels", Eur. Trans. Telecomm. 10 (1999) 585-595, section 3.1.

    Args:
        tx: transmit antennas.
        rx: receive antennas.
        power: "water-filling" shares out the energy 1 of each group by p_i = max(0, μ - N0/σ_i²), and a stream that
            gets none is an erasure; "equal" gives each stream the same.
        streams: at most, and by default, min(tx, rx); a smaller number takes the best ones.

    Raises:
        ValueError: an option outside of these.
    """

    tx: int
    rx: int
    power: PowerAllocation = "water-filling"
    streams: int = 0
    span = 1
    informed = True
    joint = True
    equaliser = "svd"

    def __init__(self, tx: int, rx: int, power: PowerAllocation = "water-filling", streams: int | None = None) -> None:
        check_antennas(tx, rx)
        check_choice("power", power, get_args(PowerAllocation))
        streams = min(tx, rx) if streams is None else streams
        if not is_whole(streams) or not 1 <= streams <= min(tx, rx):
            raise ValueError(f"streams={streams!r} must be from 1 to min(tx, rx) = {min(tx, rx)}")
        for name, value in (("tx", tx), ("rx", rx), ("power", power), ("streams", streams)):
            object.__setattr__(self, name, value)

    def precode(
        self,
        symbols: Complex[Tensor, "b g s"],
        h: Complex[Tensor, "b _ rx tx"] | None,
        n0: float,
        *,
        rng: Rngs,  # noqa: ARG002
    ) -> Complex[Tensor, "b g 1 tx"]:
        """Each stream along its singular vector.

        Raises:
            ValueError: `h` is None.
        """
        _, beams = self._beams(known(h, "svd"), n0)
        return apply(beams, symbols)[:, :, None]

    def detect(
        self,
        observed: Complex[Tensor, "b g 1 rx"],
        h: Complex[Tensor, "b _ rx tx"],
        noise: Float[Tensor, "b _"],
        n0: float,
        *,
        told: Complex[Tensor, "b _ rx tx"] | None = None,
    ) -> Detected:
        """Project on the left singular vectors and divide by the gains: what the precoder made of the same `h`.

        Where the transmitter took the channel for another, the streams interfere: they are filtered as MMSE does.
        """
        gain, beams = self._beams(h if told is None else told, n0)
        if told is None:
            return combine(observed[:, :, 0], (h @ beams).detach(), gain.square(), noise)
        return filter_streams(observed[:, :, 0], (h @ beams).detach(), noise, zero_forcing=False)

    @torch.no_grad()
    def _beams(
        self, h: Complex[Tensor, "b g rx tx"], n0: float
    ) -> tuple[Float[Tensor, "b g s"], Complex[Tensor, "b g tx s"]]:
        """Gains and precoding vectors of the streams."""
        from semlink.phy.mimo.kernels import singular_vectors  # here and not above: as in kbest.py

        values, v = singular_vectors(h)
        values, v = values[..., : self.streams], v[..., : self.streams]
        even = torch.full_like(values, 1 / self.streams)
        shares = even if self.power == "equal" else fill_water(values.square(), n0)
        return values * shares.sqrt(), v * shares.sqrt()[..., None, :]


@dataclass(frozen=True)
class Alamouti:
    """Two symbols over two antennas in two uses, (s1, s2) then (-s2*, s1*): diversity 2·rx without any feedback.

    The channel is taken to stay over the two uses. Source: S. M. Alamouti, "A simple transmit diversity technique for
    wireless communications", IEEE J. Sel. Areas Commun. 16 (1998) 1451-1458, section III.

    Args:
        rx: receive antennas.

    Raises:
        ValueError: `rx` is not a number of antennas.
    """

    rx: int = 1
    tx = streams = span = 2
    informed = False
    joint = True
    equaliser = "alamouti"

    def __post_init__(self) -> None:
        check_antennas(self.tx, self.rx)

    def precode(
        self,
        symbols: Complex[Tensor, "b g 2"],
        h: Complex[Tensor, "b _ rx 2"] | None,  # noqa: ARG002
        n0: float,  # noqa: ARG002
        *,
        rng: Rngs,  # noqa: ARG002
    ) -> Complex[Tensor, "b g 2 2"]:
        """The code word of each pair, energy 1/2 an antenna."""
        first, second = symbols[..., 0], symbols[..., 1]
        uses = [torch.stack([first, second], dim=-1), torch.stack([-second.conj(), first.conj()], dim=-1)]
        return torch.stack(uses, dim=2) * amplitude(2)

    def detect(
        self,
        observed: Complex[Tensor, "b g 2 rx"],
        h: Complex[Tensor, "b _ rx 2"],
        noise: Float[Tensor, "b _"],
        n0: float,  # noqa: ARG002
        *,
        told: Complex[Tensor, "b _ rx 2"] | None = None,  # noqa: ARG002
    ) -> Detected:
        """Combine both uses of all antennas: the pair comes out without interference, of SNR ‖H‖² / (2 N0)."""
        seen = h.detach() * amplitude(2)
        left, right = seen[..., 0], seen[..., 1]
        # As one observation of 2·rx antennas, y = [[h1, h2], [h2*, -h1*]] s, whose columns are orthogonal.
        stacked = torch.cat([observed[:, :, 0], observed[:, :, 1].conj()], dim=-1)
        columns = [torch.cat([left, right.conj()], dim=-1), torch.cat([right, -left.conj()], dim=-1)]
        power = seen.abs().square().sum(dim=(-2, -1))[..., None].expand(*seen.shape[:2], 2)
        return combine(stacked, torch.stack(columns, dim=-1), power, noise)


@dataclass(frozen=True)
class Mrc:
    """One transmit antenna, and maximum-ratio combining of the receive antennas: SNR ‖h‖² / N0.

    Source: D. G. Brennan, "Linear diversity combining techniques", Proc. IRE 47 (1959) 1075-1102.

    Args:
        rx: receive antennas.

    Raises:
        ValueError: `rx` is not a number of antennas.
    """

    rx: int
    tx = streams = span = 1
    informed = False
    joint = True
    equaliser = "mrc"

    def __post_init__(self) -> None:
        check_antennas(self.tx, self.rx)

    def precode(
        self,
        symbols: Complex[Tensor, "b g 1"],
        h: Complex[Tensor, "b _ rx 1"] | None,  # noqa: ARG002
        n0: float,  # noqa: ARG002
        *,
        rng: Rngs,  # noqa: ARG002
    ) -> Complex[Tensor, "b g 1 1"]:
        """The symbols as they are."""
        return symbols[..., None]

    def detect(
        self,
        observed: Complex[Tensor, "b g 1 rx"],
        h: Complex[Tensor, "b _ rx 1"],
        noise: Float[Tensor, "b _"],
        n0: float,  # noqa: ARG002
        *,
        told: Complex[Tensor, "b _ rx 1"] | None = None,  # noqa: ARG002
    ) -> Detected:
        """h^H y / ‖h‖²."""
        return combine(observed[:, :, 0], h.detach(), h.detach().abs().square().sum(dim=-2), noise)


@dataclass(frozen=True)
class Mrt:
    """One stream along the strongest direction of a channel that both ends know; with one receive antenna h^H / ‖h‖.

    Source: T. K. Y. Lo, "Maximum ratio transmission", IEEE Trans. Commun. 47 (1999) 1458-1461.

    Args:
        tx: transmit antennas.
        rx: receive antennas, combined by maximum ratio.

    Raises:
        ValueError: `tx` or `rx` is not a number of antennas.
    """

    tx: int
    rx: int = 1
    streams = span = 1
    informed = True
    joint = True
    equaliser = "mrt"

    def __post_init__(self) -> None:
        check_antennas(self.tx, self.rx)

    def precode(
        self,
        symbols: Complex[Tensor, "b g 1"],
        h: Complex[Tensor, "b _ rx tx"] | None,
        n0: float,  # noqa: ARG002
        *,
        rng: Rngs,  # noqa: ARG002
    ) -> Complex[Tensor, "b g 1 tx"]:
        """The symbols along the beam.

        Raises:
            ValueError: `h` is None.
        """
        return apply(_beam(known(h, "mrt")), symbols)[:, :, None]

    def detect(
        self,
        observed: Complex[Tensor, "b g 1 rx"],
        h: Complex[Tensor, "b _ rx tx"],
        noise: Float[Tensor, "b _"],
        n0: float,  # noqa: ARG002
        *,
        told: Complex[Tensor, "b _ rx tx"] | None = None,
    ) -> Detected:
        """Combine by the channel that the beam makes of `h`."""
        seen = (h @ _beam(h if told is None else told)).detach()
        return combine(observed[:, :, 0], seen, seen.abs().square().sum(dim=-2), noise)


def exponential_correlation(size: int, rho: complex | float) -> Complex[Tensor, "size size"]:
    """Correlation matrix of a row of antennas, ρ^(j - i) for i ≤ j and its conjugate below the diagonal, complex128.

    Source: S. L. Loyka, "Channel capacity of MIMO architecture using the exponential correlation matrix", IEEE Commun.
    Lett. 5 (2001) 369-371.

    Raises:
        ValueError: `size` is not a number of antennas, or |ρ| is above 1.
    """
    check_antennas(size, size)
    if not abs(rho) <= 1:
        raise ValueError(f"rho={rho!r} must be of magnitude 0 to 1")
    step = torch.arange(size)[None, :] - torch.arange(size)[:, None]
    upper = torch.tensor([complex(rho) ** i for i in range(size)], dtype=torch.complex128)[step.abs()]
    return torch.where(step >= 0, upper, upper.conj())


@torch.no_grad()
def kronecker_root(correlation: Complex[Tensor, "size size"]) -> Complex[Tensor, "size size"]:
    """The Hermitian square root of a correlation matrix, complex128, which may be singular.

    Raises:
        ValueError: it is not Hermitian, has an entry other than 1 on its diagonal (E|h|² = 1), or is not positive
            semidefinite.
    """
    matrix = correlation.to(torch.complex128)
    if not torch.allclose(matrix, matrix.mH, atol=1e-6):
        raise ValueError("correlation must be Hermitian")
    if not torch.allclose(matrix.diagonal(), torch.ones_like(matrix.diagonal()), atol=1e-6):
        raise ValueError(f"correlation has the diagonal {matrix.diagonal().tolist()}; it must be 1")
    values, vectors = torch.linalg.eigh(matrix)
    if values.min() < -1e-6:
        raise ValueError(f"correlation has the eigenvalue {values.min():.3g}; it must be positive semidefinite")
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.mH
    return root


def correlate(
    h: Complex[Tensor, "*batch rx tx"], rx_root: Complex[Tensor, "rx rx"], tx_root: Complex[Tensor, "tx tx"]
) -> Complex[Tensor, "*batch rx tx"]:
    """Kronecker model: R_rx^(1/2) H (R_tx^(1/2))^T, so that E[h_ij h_kl*] = R_rx[i, k] R_tx[j, l] for white H.

    Source: J. P. Kermoal et al., "A stochastic MIMO radio channel model with experimental validation", IEEE J. Sel.
    Areas Commun. 20 (2002) 1211-1226.
    """
    return rx_root.to(h) @ h @ tx_root.to(h).mT


@torch.no_grad()
def _beam(h: Complex[Tensor, "b g rx tx"]) -> Complex[Tensor, "b g tx 1"]:
    """The unit vector along which the channel is strongest; any, where it is zero."""
    if h.shape[-2] > 1:
        from semlink.phy.mimo.kernels import singular_vectors  # here and not above: as in kbest.py

        return singular_vectors(h)[1][..., :1]
    largest = h.abs().amax(dim=-1, keepdim=True)
    scaled = h / torch.where(largest > 0, largest, 1.0)  # a square must not underflow
    direction = torch.where(largest > 0, scaled, 1.0).mH
    beam: Tensor = direction / direction.abs().square().sum(dim=-2, keepdim=True).sqrt()
    return beam
