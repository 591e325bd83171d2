"""The interface of a block code, the checks of its inputs, and the code that adds nothing."""

from __future__ import annotations

import math

import pytest
import torch

from semlink.phy.fec import LDPC5G, BlockCode, Convolutional, Uncoded
from semlink.phy.fec.code import check_bits, check_llr


@pytest.mark.parametrize("code", [Uncoded(100), Convolutional(100, 212), LDPC5G(100, 200)])
def test_codes_keep_the_interface(code: BlockCode) -> None:
    assert isinstance(code, BlockCode)
    bits = torch.randint(0, 2, (3, code.k), generator=torch.Generator().manual_seed(0)).double()
    coded = code.encode(bits)
    assert coded.shape == (3, code.n)
    assert coded.dtype == torch.float64
    decoded = code.decode(4 * (1 - 2 * coded))
    assert decoded.dtype == torch.float64
    assert torch.equal(decoded, bits)


def test_something_else_is_no_block_code() -> None:
    class Nothing:
        k = 1
        n = 1

    assert not isinstance(Nothing(), BlockCode)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_uncoded_decides_by_the_sign(dtype: torch.dtype) -> None:
    llr = torch.tensor([[3.0, -0.1, 0.0, -0.0, math.inf, -math.inf]], dtype=dtype)
    decided = Uncoded(6).decode(llr)
    assert decided.dtype == dtype
    assert decided.tolist() == [[0, 1, 0, 0, 0, 1]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_uncoded_sends_the_bits_in_memory_of_their_own(dtype: torch.dtype) -> None:
    bits = torch.tensor([[0, 1], [1, 1]], dtype=dtype)
    coded = Uncoded(2).encode(bits)
    assert coded.dtype == dtype
    assert torch.equal(coded, bits)
    coded[0, 0] = 1
    assert bits[0, 0] == 0


def test_uncoded_takes_an_empty_batch() -> None:
    code = Uncoded(5)
    assert (code.k, code.n) == (5, 5)
    assert code.encode(torch.zeros(0, 5)).shape == code.decode(torch.zeros(0, 5)).shape == (0, 5)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="k=0 must be at least 1"):
        Uncoded(0)
    code = Uncoded(3)
    with pytest.raises(ValueError, match=r"bits has shape \(1, 2\); it must be \(b, 3\)"):
        code.encode(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="bits holds other values than 0 and 1"):
        code.encode(torch.full((1, 3), 0.5))
    with pytest.raises(ValueError, match=r"llr has shape \(3,\); it must be \(b, 3\)"):
        code.decode(torch.zeros(3))
    with pytest.raises(ValueError, match="llr holds NaN"):
        code.decode(torch.full((1, 3), math.nan))


@pytest.mark.parametrize("shape", [(3,), (2, 2), (1, 2, 3)])
def test_shapes_other_than_rows_of_the_length_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"bits has shape .*; it must be \(b, 3\)"):
        check_bits(torch.zeros(shape), 3)
    with pytest.raises(ValueError, match=r"llr has shape .*; it must be \(b, 3\)"):
        check_llr(torch.zeros(shape), 3)


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5, math.nan, math.inf])
def test_one_bit_that_is_none_is_refused(value: float) -> None:
    bits = torch.zeros(2, 3)
    check_bits(bits, 3)
    bits[1, 2] = value
    with pytest.raises(ValueError, match="bits holds other values than 0 and 1"):
        check_bits(bits, 3)


def test_one_nan_is_refused_and_infinity_is_not() -> None:
    llr = torch.tensor([[math.inf, -math.inf, 0.0], [1.0, -1e300, 2.0]], dtype=torch.float64)
    check_llr(llr, 3)
    llr[1, 0] = math.nan
    with pytest.raises(ValueError, match=r"llr holds NaN \(1 of 6 values\); every LLR must be a number or ±inf"):
        check_llr(llr, 3)
