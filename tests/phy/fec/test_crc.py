"""CRC-24A and the scrambling sequence against bit-serial implementations and published values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.phy.fec import crc, descramble_llr, scramble
from semlink.phy.fec.scrambling import gold_sequence


def serial_crc(bits: list[int]) -> list[int]:
    """Long division by x²⁴ + 0x864CFB, bit by bit (TS 38.212 clause 5.1)."""
    register = 0
    for bit in bits:
        top = (register >> 23) ^ bit
        register = (register << 1) & 0xFFFFFF
        if top:
            register ^= 0x864CFB
    return [(register >> (23 - i)) & 1 for i in range(24)]


def bits_of(data: bytes) -> Tensor:
    return torch.from_numpy(np.unpackbits(np.frombuffer(data, dtype=np.uint8)))[None]


def test_check_value_of_the_catalogue() -> None:
    """CRC-24/LTE-A of "123456789" is 0xCDE703 (Greg Cook's catalogue of parametrised CRC algorithms)."""
    parity = crc.append(bits_of(b"123456789"))[0, -24:]
    assert np.packbits(parity.numpy()).tobytes().hex() == "cde703"


@pytest.mark.parametrize("k", [1, 7, 24, 40, 1000, 8424])
def test_parity_is_that_of_the_shift_register(k: int) -> None:
    bits = torch.randint(0, 2, (3, k), generator=torch.Generator().manual_seed(k))
    protected = crc.append(bits)
    assert protected.dtype == bits.dtype
    assert torch.equal(protected[:, :k], bits)
    assert protected[:, k:].tolist() == [serial_crc(row) for row in bits.tolist()]


def test_check_takes_the_parity_off_and_sees_errors() -> None:
    bits = torch.randint(0, 2, (40, 100), generator=torch.Generator().manual_seed(0)).float()
    damaged = crc.append(bits)
    for row in range(1, 40):
        damaged[row, 3 * row : 3 * row + 1 + row % 24] = 1 - damaged[row, 3 * row : 3 * row + 1 + row % 24]
    kept, ok = crc.check(damaged)
    assert torch.equal(kept[0], bits[0])
    assert ok.tolist() == [True] + [False] * 39  # any burst of up to 24 bits is seen


def serial_gold(length: int, c_init: int) -> list[int]:
    """TS 38.211 clause 5.2.1, bit by bit."""
    x1 = [1] + [0] * 30
    x2 = [(c_init >> i) & 1 for i in range(31)]
    for n in range(length + 1600 - 31):
        x1.append((x1[n + 3] + x1[n]) % 2)
        x2.append((x2[n + 3] + x2[n + 2] + x2[n + 1] + x2[n]) % 2)
    return [(a + b) % 2 for a, b in zip(x1[1600:], x2[1600:], strict=True)]


@pytest.mark.parametrize("c_init", [0, 1, 1 << 15, 0x5A5A5A5, 2**31 - 1])
@pytest.mark.parametrize("length", [1, 31, 62, 5000])
def test_scrambling_sequence_is_that_of_the_standard(length: int, c_init: int) -> None:
    assert gold_sequence(length, c_init).tolist() == serial_gold(length, c_init)


def test_scrambling_sequence_is_that_of_sionna() -> None:
    from sionna.phy.nr.utils import generate_prng_seq

    np.testing.assert_array_equal(gold_sequence(2000, 12345), generate_prng_seq(2000, 12345))


def test_scrambling_twice_gives_the_bits_back_and_llrs_follow() -> None:
    bits = torch.randint(0, 2, (2, 500), generator=torch.Generator().manual_seed(0)).float()
    scrambled = scramble(bits, 77)
    assert torch.equal(scramble(scrambled, 77), bits)
    assert torch.equal(descramble_llr(1 - 2 * scrambled, 77), 1 - 2 * bits)
    assert 0.4 < float(scramble(torch.zeros(1, 5000), 77).mean()) < 0.6


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"bits has shape \(5,\)"):
        crc.append(torch.zeros(5))
    with pytest.raises(ValueError, match=r"bits has shape \(1, 24\); it must be \(b, k \+ 24\)"):
        crc.check(torch.zeros(1, 24))
    with pytest.raises(ValueError, match="c_init=-1 must be within"):
        gold_sequence(5, -1)
    with pytest.raises(ValueError, match="length=0 must be at least 1"):
        gold_sequence(0, 1)


def test_autocast_counts_bits_as_well() -> None:
    bits = torch.randint(2, (4, 3000), generator=torch.Generator().manual_seed(0)).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(crc.append(bits), append_plain(bits))
        assert crc.check(append_plain(bits))[1].all()


def append_plain(bits: Tensor) -> Tensor:
    """The parity bits of the bit-serial implementation behind the bits."""
    parity = [serial_crc([int(bit) for bit in row]) for row in bits.tolist()]
    return torch.cat([bits, torch.tensor(parity, dtype=bits.dtype)], dim=1)
