"""Filters and decompositions of very many small matrices, compiled: those that multi-antenna links need.

All are in double precision inside. From more than eight columns on, or on a GPU, torch.linalg does the same. None of
it passes gradients on, since all depends on the channel alone.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Complex, Float
from numba import njit
from torch import Tensor

from semlink.phy.link import ERASED
from semlink.phy.parallel import run_in_threads

Array = np.ndarray

LARGEST = 8
"""Columns of the largest matrix that the compiled kernels take."""
# Of a stream's energy, what zero-forcing must find outside of the space of the other streams: far above the rounding of
# complex64 (1e-14), far below any use (100 dB of noise enhancement).
_SHARE = 1e-10
# Keeps a singular Gram matrix positive definite, relative to its diagonal.
_RIDGE = 1e-13
_LEAST = 1 << 10
_SWEEPS = 60


@torch.no_grad()
def linear_filters(
    h: Complex[Tensor, "b g rx tx"], noise: Float[Tensor, "b g"], *, zero_forcing: bool
) -> tuple[Complex[Tensor, "b g tx rx"], Float[Tensor, "b g tx"], Float[Tensor, "b g tx"]]:
    """Filters W, and what they make of unit-energy symbols: W y = bias · sent + error of variance n0.

    MMSE: W = (H^H H + N0 I)^-1 H^H, bias_i = 1 - N0 [(H^H H + N0 I)^-1]_ii, n0 = bias (1 - bias), interference
    included. Zero-forcing: W = (H^H H)^-1 H^H, bias 1, n0_i = N0 [(H^H H)^-1]_ii. Source: S. M. Kay, "Fundamentals of
    Statistical Signal Processing", vol. 1, chapters 12 and 4.

    A stream of which nothing can be found, because it did not arrive or, for zero-forcing, is not told apart from the
    others, has a row of zeros in W, bias 1 and n0 = `ERASED`.

    Args:
        h: channel, the scale of the sent symbols included, complex64 or complex128.
        noise: noise variance of each antenna, linear.
        zero_forcing: zero-forcing rather than MMSE.

    Returns:
        W, bias and n0.
    """
    b, g, rx, tx = h.shape
    if h.is_cuda or tx > LARGEST:
        return _linear_filters(h.detach(), noise.detach(), zero_forcing)
    w = torch.empty(b, g, tx, rx, dtype=h.dtype)
    bias, n0 = torch.empty(2, b, g, tx, dtype=h.real.dtype)
    channel, variance = flatten(h, 2), flatten(noise, 0)
    out = flatten(w, 2), flatten(bias, 1), flatten(n0, 1)

    def kernel(first: int, last: int) -> None:
        part = slice(first, last)
        _filter(channel[part], variance[part], zero_forcing, out[0][part], out[1][part], out[2][part])

    run_in_threads(kernel, b * g, least=_LEAST)
    return w, bias, n0


@torch.no_grad()
def singular_vectors(
    h: Complex[Tensor, "b g rx tx"],
) -> tuple[Float[Tensor, "b g k"], Complex[Tensor, "b g tx k"]]:
    """The k = min(rx, tx) singular values of each channel, falling, and its right singular vectors.

    The vectors are orthonormal whatever the rank. One-sided Jacobi: M. R. Hestenes, "Inversion of matrices by
    biorthogonalization and related results", J. SIAM 6 (1958) 51-90.

    Args:
        h: channel, complex64 or complex128.
    """
    b, g, rx, tx = h.shape
    if h.is_cuda or tx > LARGEST:
        _, values, vh = torch.linalg.svd(h.detach(), full_matrices=False)
        return values, vh.mH
    k = min(rx, tx)
    values, v = torch.empty(b, g, k, dtype=h.real.dtype), torch.empty(b, g, tx, k, dtype=h.dtype)
    channel, out = flatten(h, 2), (flatten(values, 1), flatten(v, 2))

    def kernel(first: int, last: int) -> None:
        _decompose(channel[first:last], out[0][first:last], out[1][first:last])

    run_in_threads(kernel, b * g, least=_LEAST)
    return values, v


def flatten(tensor: Tensor, keep: int) -> Array:
    """As an array with all but the last `keep` axes made one; a view where the tensor is contiguous."""
    whole = tensor.detach().resolve_conj().contiguous()
    array: Array = whole.reshape(-1, *whole.shape[whole.ndim - keep :]).numpy()
    return array


def _linear_filters(h: Tensor, noise: Tensor, zero_forcing: bool) -> tuple[Tensor, Tensor, Tensor]:
    """`linear_filters` by torch.linalg, for any size and device."""
    wide = h.to(torch.complex128)
    variance = noise.to(torch.float64)[..., None].expand(*h.shape[:2], h.shape[-1])
    gram = wide.mH @ wide
    power = gram.diagonal(dim1=-2, dim2=-1).real
    ridge = _RIDGE * power if zero_forcing else torch.maximum(variance, _RIDGE * power)
    ridge = torch.where(power + ridge == 0, 1.0, ridge)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram + torch.diag_embed(ridge).to(gram)))
    spread = inverse.diagonal(dim1=-2, dim2=-1).real
    if zero_forcing:
        bias, n0 = torch.ones_like(power), variance * spread
        alive = (power > 0) & (spread * power * _SHARE <= 1) & (n0 < ERASED)
    else:
        error = (variance * spread).clamp(max=1.0)
        bias, n0 = 1 - error, (1 - error) * error
        alive = (power > 0) & (bias * ERASED > 1)
    w = (inverse @ wide.mH).masked_fill(~alive[..., None], 0.0)
    bias, n0 = bias.masked_fill(~alive, 1.0), n0.masked_fill(~alive, ERASED)
    return w.to(h), bias.to(h.real), n0.to(h.real)


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
@no_type_check  # shape checks of the tests cannot be compiled
def _filter(
    h: Complex[Array, "g rx tx"],
    noise: Float[Array, " g"],
    zero_forcing: bool,
    w: Complex[Array, "g tx rx"],
    bias: Float[Array, "g tx"],
    n0: Float[Array, "g tx"],
) -> None:
    count, rx, tx = h.shape
    a, t = np.zeros((tx, tx), np.complex128), np.zeros((tx, rx), np.complex128)
    power = np.zeros(tx)
    for g in range(count):
        variance = np.float64(noise[g])
        for i in range(tx):
            for j in range(i + 1):
                total = 0j
                for r in range(rx):
                    total += np.conj(np.complex128(h[g, r, i])) * h[g, r, j]
                a[i, j] = total
            power[i] = a[i, i].real
            ridge = _RIDGE * power[i] if zero_forcing else max(variance, _RIDGE * power[i])
            a[i, i] = power[i] + ridge if power[i] + ridge > 0.0 else 1.0
        invert_cholesky(a, tx)
        # With X = L^-1: W = X^H (X H^H), and the diagonal of the inverse X^H X.
        for i in range(tx):
            for r in range(rx):
                total = 0j
                for k in range(i + 1):
                    total += a[i, k] * np.conj(np.complex128(h[g, r, k]))
                t[i, r] = total
        for i in range(tx):
            spread = 0.0
            for k in range(i, tx):
                spread += a[k, i].real ** 2 + a[k, i].imag ** 2
            error = variance * spread
            if zero_forcing:
                bias[g, i], n0[g, i] = 1.0, error
                alive = power[i] > 0.0 and spread * power[i] * _SHARE <= 1.0 and error < ERASED
            else:
                error = min(error, 1.0)
                bias[g, i], n0[g, i] = 1.0 - error, (1.0 - error) * error
                alive = power[i] > 0.0 and (1.0 - error) * ERASED > 1.0
            if not alive:
                bias[g, i], n0[g, i] = 1.0, ERASED
            for r in range(rx):
                total = 0j
                if alive:
                    for k in range(i, tx):
                        total += np.conj(a[k, i]) * t[k, r]
                w[g, i, r] = total


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
@no_type_check
def invert_cholesky(a: Complex[Array, "m m"], n: int) -> None:
    """Put L^-1 in place of the lower triangle of the first n rows of a Hermitian A = L L^H."""
    for j in range(n):
        for i in range(j, n):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * np.conj(a[j, k])
            # The diagonal is kept inverted.
            a[i, j] = 1.0 / math.sqrt(total.real) if i == j else total * a[j, j].real
    for j in range(n):
        for i in range(j + 1, n):
            total = a[i, j] * a[j, j].real
            for k in range(j + 1, i):
                total += a[i, k] * a[k, j]
            a[i, j] = -a[i, i].real * total


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
@no_type_check
def _decompose(h: Complex[Array, "g rx tx"], values: Float[Array, "g k"], v: Complex[Array, "g tx k"]) -> None:
    count, rx, tx = h.shape
    # The columns of H above those of V: both are rotated alike.
    a = np.zeros((tx, rx + tx), np.complex128)
    length = np.zeros(tx)
    for g in range(count):
        for i in range(tx):
            for r in range(rx):
                a[i, r] = h[g, r, i]
            for k in range(tx):
                a[i, rx + k] = 1.0 if i == k else 0.0
        for _ in range(_SWEEPS):
            if not _sweep(a, rx):
                break
        for i in range(tx):
            length[i] = 0.0
            for r in range(rx):
                length[i] += a[i, r].real ** 2 + a[i, r].imag ** 2
        for k in range(values.shape[1]):
            i = np.argmax(length)
            values[g, k] = math.sqrt(length[i])
            for j in range(tx):
                v[g, j, k] = a[i, rx + j]
            length[i] = -1.0


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
@no_type_check
def _sweep(a: Complex[Array, "tx rows"], rx: int) -> bool:
    """Make each pair of columns orthogonal once; whether any was not."""
    rotated = False
    for p in range(a.shape[0]):
        for q in range(p + 1, a.shape[0]):
            alpha, beta, gamma = 0.0, 0.0, 0j
            for r in range(rx):
                alpha += a[p, r].real ** 2 + a[p, r].imag ** 2
                beta += a[q, r].real ** 2 + a[q, r].imag ** 2
                gamma += np.conj(a[p, r]) * a[q, r]
            size = abs(gamma)
            if size <= 1e-12 * math.sqrt(alpha * beta) or size < 1e-150:
                continue
            rotated = True
            zeta = (beta - alpha) / (2.0 * size)
            tangent = math.copysign(1.0, zeta) / (abs(zeta) + math.sqrt(1.0 + zeta * zeta))
            cosine = 1.0 / math.sqrt(1.0 + tangent * tangent)
            sine, turn = cosine * tangent, np.conj(gamma) / size
            for r in range(a.shape[1]):
                x, y = a[p, r], turn * a[q, r]
                a[p, r], a[q, r] = cosine * x - sine * y, sine * x + cosine * y
    return rotated
