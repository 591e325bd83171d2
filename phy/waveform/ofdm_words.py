"""OFDM words with the carriers of 802.11a: which elements are known, and to samples and back. NumPy alone.

Source: IEEE 802.11-2020 clause 17 (carriers, pilots, cyclic prefix).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import Samples
from semlink.phy.waveform.header import HEADER_SYMBOLS, BurstHeader, encode_header
from semlink.phy.waveform.sequences import pn_bits, pn_qpsk

FFT = 64
"""Samples of an OFDM word without its cyclic prefix."""
PREFIX = 16
"""Samples of the cyclic prefix."""
WORD = FFT + PREFIX
CARRIERS = np.concatenate([np.arange(-26, 0), np.arange(1, 27)])
"""Carriers in use."""
PILOTS = np.flatnonzero(np.isin(CARRIERS, (-21, -7, 7, 21)))
"""Which of them are pilots."""
DATA = np.setdiff1d(np.arange(len(CARRIERS)), PILOTS)
"""Which of them carry header and payload."""
TRAINING = 2
"""Known words ahead of the header."""
HEADER_WORDS = HEADER_SYMBOLS // len(DATA)
HEAD = TRAINING + HEADER_WORDS

EVEN = CARRIERS % 2 == 0
"""Which of them the first word has."""

# Of the states to 599, that of the known words has a low peak, 4.8 dB over their mean, and low correlation elsewhere.
_TRAINING_STATE, _HEADER_STATE, _PADDING_STATE, _PILOT_STATE = 289, 6, 7, 8
_SIGNS = 1 << 11
"""Of pilots, until they repeat."""


def known_grid(symbols: int, header: BurstHeader | None = None) -> NDArray[np.complex64]:
    """Elements of a burst with so many symbols, (words, 52): known words, pilots and, where it is given, the header.

    Behind the header, the signs of pilots depend on it: another transmitter's burst that lies exactly over this one
    would otherwise have the same pilots, and pass for an echo instead of noise. Without a header those are 0.
    """
    words = HEAD + -(-symbols // len(DATA))
    grid = np.zeros((words, len(CARRIERS)), dtype=np.complex64)
    grid[:TRAINING] = training()
    shift = 0 if header is None else header.mark
    word = np.arange(words - TRAINING)
    signs = 1 - 2 * pn_bits(_SIGNS, _PILOT_STATE).astype(np.float32)
    signs = signs[np.where(word < HEADER_WORDS, word, word + shift) % _SIGNS]
    if header is None:
        signs[HEADER_WORDS:] = 0
    else:
        grid[TRAINING:HEAD, DATA] = header_words(encode_header(header))
    grid[TRAINING:, PILOTS] = signs[:, None] * np.array([1, 1, 1, -1])
    return grid


@lru_cache(maxsize=1)
def training() -> NDArray[np.complex64]:
    """The two known words, (2, 52): even carriers at twice the energy, then all."""
    words = pn_qpsk(2 * len(CARRIERS), _TRAINING_STATE).reshape(2, -1).copy()
    words[0] *= np.sqrt(2) * EVEN
    words.flags.writeable = False
    return words


def padding(symbols: int) -> NDArray[np.complex64]:
    """What fills the last word of a burst with so many symbols, (fewer than 48,)."""
    return pn_qpsk(len(DATA), _PADDING_STATE)[: -symbols % len(DATA)]


def to_samples(grid: Samples) -> NDArray[np.complex64]:
    """Words (w, 52) to samples with cyclic prefix, (w · 80,); the transform is unitary."""
    spectrum = np.zeros((len(grid), FFT), dtype=complex)
    spectrum[:, CARRIERS] = grid
    words = np.fft.ifft(spectrum) * np.sqrt(FFT)
    return np.concatenate([words[:, -PREFIX:], words], axis=1).astype(np.complex64).ravel()


def to_words(samples: Samples, start: int, count: int) -> Samples:
    """Words (count, 52) from samples, of which `start` is the first of a prefix."""
    taken = samples[start : start + count * WORD].reshape(count, WORD)[:, PREFIX:]
    words: Samples = np.fft.fft(taken)[:, CARRIERS] / np.sqrt(FFT)
    return words


def scrambling() -> NDArray[np.complex64]:
    return pn_qpsk(HEADER_SYMBOLS, _HEADER_STATE)


def header_words(symbols: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Symbols of a header (336,) as they are sent, (7, 48)."""
    return (symbols[header_order()] * scrambling()).reshape(HEADER_WORDS, -1)


@lru_cache(maxsize=1)
def header_order() -> NDArray[np.intp]:
    """Symbols of the header in the order in which they are sent: each OFDM word is turned by two carriers more.

    No carrier then has more than two symbols of a codeword, and most have one.
    """
    order = np.arange(HEADER_SYMBOLS).reshape(HEADER_WORDS, -1)
    return np.stack([np.roll(row, 2 * m) for m, row in enumerate(order)]).ravel()
