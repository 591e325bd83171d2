"""Successive interference cancellation behind an array: ordered MMSE detection of QPSK users, decided and subtracted.

The order and the filters are those of V-BLAST (P. W. Wolniansky, G. J. Foschini, G. D. Golden and R. A. Valenzuela,
"V-BLAST: an architecture for realizing very high data rates over the rich-scattering wireless channel", ISSSE 1998),
which take every decision for right. What wrong ones do is worked out beside it, for what is handed back as noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from numba import njit
from torch import Tensor

from semlink.phy.link import ERASED
from semlink.phy.mimo.kernels import flatten, invert_cholesky
from semlink.phy.parallel import run_in_threads

Array = np.ndarray
_LEAST = 1 << 9


@dataclass(frozen=True)
class Cancellation:
    """How user 0 is found: `w · y - offset = bias · sent + CN(0, n0)`.

    Attributes:
        w: filter on the antennas, (b, g, rx).
        offset: what the decisions on other users add up to behind the filter, (b, g).
        bias, n0: (b, g).
    """

    w: Complex[Tensor, "b g rx"]
    offset: Complex[Tensor, "b g"]
    bias: Float[Tensor, "b g"]
    n0: Float[Tensor, "b g"]


@torch.no_grad()
def cancel(
    observed: Complex[Tensor, "b g rx"], h: Complex[Tensor, "b k rx users"], noise: Float[Tensor, "b k"]
) -> Cancellation:
    """Detect the users of greater SINR than user 0 one after the other, decide them as QPSK and subtract them.

    n0 and bias take each decision for wrong as often as a Gaussian error of the SINR makes it: on each axis with
    probability Q(sqrt(SINR)), which leaves 4 Q(sqrt(SINR)) of a user's energy, correlated with what misled it.

    Args:
        observed: what the antennas received.
        h: channel of each user, with unit-energy symbols; k is g, or 1 for all groups of an image.
        noise: noise variance of each antenna.
    """
    b, g, rx = observed.shape
    k = h.shape[1]
    w, offset = torch.empty(b, g, rx, dtype=observed.dtype), torch.empty(b, g, dtype=observed.dtype)
    bias, n0 = torch.empty(2, b, g, dtype=observed.real.dtype)
    seen = flatten(observed.cpu(), 1), flatten(h.cpu(), 2), flatten(noise.cpu(), 0)
    out = flatten(w, 1), flatten(offset, 0), flatten(bias, 0), flatten(n0, 0)

    def kernel(first: int, last: int) -> None:
        _cancel(*seen, g // k, first, last, *out)

    run_in_threads(kernel, b * g, least=_LEAST)
    return Cancellation(*(x.to(observed.device) for x in (w, offset, bias, n0)))


@njit(nogil=True, cache=True, error_model="numpy")
@no_type_check  # shape checks of the tests cannot be compiled
def _cancel(
    observed: Complex[Array, "bg rx"],
    h: Complex[Array, "bk rx users"],
    noise: Float[Array, " bk"],
    repeat: int,
    first: int,
    last: int,
    w: Complex[Array, "bg rx"],
    offset: Complex[Array, " bg"],
    bias: Float[Array, " bg"],
    n0: Float[Array, " bg"],
) -> None:
    rx, users = h.shape[1:]
    gram, filters = np.zeros((users, users), np.complex128), np.zeros((users, users), np.complex128)
    order, matched, decided = np.zeros(users, np.int64), np.zeros(users, np.complex128), np.zeros(users, np.complex128)
    combined = np.zeros(rx, np.complex128)
    stages, known_bias = 0, 0.0
    for at in range(first, last):
        channel = h[at // repeat]
        if at == first or at % repeat == 0:
            _correlate(channel, gram)
            stages, known_bias = _plan(gram, np.float64(noise[at // repeat]), filters, order)
            for r in range(rx):
                combined[r] = 0.0
                for i in range(users):
                    combined[r] += filters[stages, i] * np.conj(channel[r, i])
        lost = known_bias * ERASED <= 1.0
        for r in range(rx):
            w[at, r] = 0.0 if lost else combined[r]
        offset[at], bias[at], n0[at] = 0.0, known_bias, known_bias * (1.0 - known_bias)
        if lost:
            bias[at], n0[at] = 1.0, ERASED
            continue
        for i in range(users):
            matched[i] = 0.0
            for r in range(rx):
                matched[i] += np.conj(channel[r, i]) * observed[at, r]
        for stage in range(stages + 1):
            soft = 0j
            for i in range(users):
                soft += filters[stage, i] * matched[i]
            k = order[stage]
            decided[k] = complex(math.copysign(0.5**0.5, soft.real), math.copysign(0.5**0.5, soft.imag))
            if stage == stages:
                break
            for i in range(users):
                matched[i] -= gram[i, k] * decided[k]
        for stage in range(stages):
            k = order[stage]
            for i in range(users):
                offset[at] += filters[stages, i] * gram[i, k] * decided[k]


@njit(nogil=True, cache=True, error_model="numpy")
@no_type_check
def _correlate(channel: Complex[Array, "rx users"], gram: Complex[Array, "users users"]) -> None:
    """H^H H."""
    for i in range(len(gram)):
        for j in range(len(gram)):
            gram[i, j] = 0.0
            for r in range(len(channel)):
                gram[i, j] += np.conj(np.complex128(channel[r, i])) * channel[r, j]


@njit(nogil=True, cache=True, error_model="numpy")
@no_type_check
def _plan(
    gram: Complex[Array, "users users"],
    noise: float,
    filters: Complex[Array, "stages users"],
    order: Int[Array, " stages"],
) -> tuple[int, float]:
    """The filters, on matched-filter outputs, of the users up to user 0, and the bias that user 0 ends up with.

    Beside them the second moments E[x x^H] (`power`) and E[x ν^H] (`cross`), ν = H^H n, are kept, where x holds the
    symbol of each user still there, and of each that was subtracted its decision's error.
    """
    users = len(gram)
    power, cross = np.zeros((users, users), np.complex128), np.zeros((users, users), np.complex128)
    with_x, with_noise = np.zeros(users, np.complex128), np.zeros(users, np.complex128)
    left = np.ones(users, np.bool_)
    for i in range(users):
        power[i, i] = 1.0
    for stage in range(users):
        f = filters[stage]
        k = _best_user(gram, noise, left, f)
        order[stage] = k
        energy = _correlate_output(f, gram, noise, power, cross, with_x, with_noise)
        gain = with_x[k]
        size = abs(gain)
        if energy <= 0.0 or gain == 0.0:
            for i in range(users):
                f[i] = 0.0
            if k == 0:
                return stage, 0.0
            left[k] = False
            continue
        # Of user 0 the estimate of least error: gain* / energy of the filter's output. A decision is taken with the
        # phase that is left on s_k removed.
        turn = np.conj(gain) / (energy if k == 0 else size)
        for i in range(users):
            f[i], with_x[i], with_noise[i] = f[i] * turn, with_x[i] * turn, with_noise[i] * turn
        if k == 0:
            return stage, min(size * size / energy, 1.0)  # what a linear estimate of s_k from u explains
        _decide(power, cross, k, size, energy, with_x, with_noise)
        left[k] = False
    return users - 1, 0.0


@njit(nogil=True, cache=True, error_model="numpy")
@no_type_check
def _correlate_output(
    f: Complex[Array, " users"],
    gram: Complex[Array, "users users"],
    noise: float,
    power: Complex[Array, "users users"],
    cross: Complex[Array, "users users"],
    with_x: Complex[Array, " users"],
    with_noise: Complex[Array, " users"],
) -> float:
    """The energy of u = f (G x + ν), and its correlations with x and with ν."""
    users, energy = len(gram), 0.0
    through = np.zeros(users, np.complex128)  # f G
    for i in range(users):
        for j in range(users):
            through[i] += f[j] * gram[j, i]
    for i in range(users):
        x, nu = 0j, noise * through[i]
        for j in range(users):
            x += through[j] * power[j, i] + f[j] * np.conj(cross[i, j])
            nu += through[j] * cross[j, i]
        with_x[i], with_noise[i] = x, nu
        energy += (x * np.conj(through[i]) + nu * np.conj(f[i])).real
    return energy


@njit(nogil=True, cache=True, error_model="numpy")
@no_type_check
def _best_user(gram: Complex[Array, "users users"], noise: float, left: np.ndarray, f: Complex[Array, " users"]) -> int:
    """The user of greatest SINR among those left, and its row of (H^H H + N0 I)^-1 in `f`."""
    users = len(gram)
    index, count = np.zeros(users, np.int64), 0
    for i in range(users):
        if left[i]:
            index[count] = i
            count += 1
    a = np.zeros((users, users), np.complex128)
    for i in range(count):
        for j in range(i + 1):
            a[i, j] = gram[index[i], index[j]]
        ridge = max(noise, 1e-13 * a[i, i].real)
        a[i, i] = a[i, i] + ridge if a[i, i].real + ridge > 0.0 else 1.0
    invert_cholesky(a, count)
    best, least = 0, np.inf
    for i in range(count):
        error = 0.0
        for k in range(i, count):
            error += a[k, i].real ** 2 + a[k, i].imag ** 2
        if error < least:
            best, least = i, error
    for i in range(users):
        f[i] = 0.0
    for j in range(count):
        for k in range(max(best, j), count):
            f[index[j]] += np.conj(a[k, best]) * a[k, j]
    return index[best]


@njit(nogil=True, cache=True, error_model="numpy")
@no_type_check
def _decide(
    power: Complex[Array, "users users"],
    cross: Complex[Array, "users users"],
    k: int,
    gain: float,
    energy: float,
    with_x: Complex[Array, " users"],
    with_noise: Complex[Array, " users"],
) -> None:
    """Put the error of a decision in the place of the symbol s_k, in the second moments.

    u = gain s_k + v with v taken for complex Gaussian of variance σ². With a decision d by the signs of u,
    E[d s_k*] = 1 - 2 Q(sqrt(SINR)), E[d v*] = σ sqrt(2/π) exp(-SINR/2), and anything else is correlated with d as far
    as it is with s_k and v (J. J. Bussgang, MIT RLE report 216, 1952).
    """
    variance = max(energy - gain * gain, 1e-300)
    sinr = gain * gain / variance
    wrong = 0.5 * math.erfc(math.sqrt(0.5 * sinr))
    along = math.sqrt(2.0 / (math.pi * variance)) * math.exp(-0.5 * sinr)
    certain = 1.0 - 2.0 * wrong
    # E[d q*] for each q: with v = u - gain s_k, whose correlation with q is that of u less gain times that of s_k.
    for q in range(len(power)):
        power[k, q] -= certain * power[k, q] + along * (with_x[q] - gain * power[k, q])
        cross[k, q] -= certain * cross[k, q] + along * (with_noise[q] - gain * cross[k, q])
        power[q, k] = np.conj(power[k, q])
    power[k, k] = 4.0 * wrong
