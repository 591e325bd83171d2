from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.neural.prompts import PromptAutoencoder, PromptCoder, quantise, to_pixels, to_signed
from semlink.neural.prompts.codes import HEAD, CodeBook
from semlink.neural.prompts.range_coder import FREQUENCY_BITS, RangeDecoder, RangeEncoder
from semlink.neural.prompts.statistics import cost_bits, eighth, eighths, table_numbers, tables


def test_symbols_come_back_and_cost_what_they_must() -> None:
    """Within two bytes of the entropy, whatever the tables, rare symbols and a row of certain ones included."""
    rng = np.random.default_rng(0)
    for count in (1, 2, 40, 300):
        chosen = [tables()[i] for i in rng.integers(0, len(tables()), count)]
        symbols = [int(rng.integers(0, len(table) - 1)) for table in chosen]
        encoder = RangeEncoder()
        for table, symbol in zip(chosen, symbols, strict=True):
            encoder.put(table[symbol], table[symbol + 1] - table[symbol])
        data = encoder.finish()
        decoder = RangeDecoder(data + b"\0\0")
        assert [decoder.get(table) for table in chosen] == symbols
        shares = [(table[one + 1] - table[one]) / 2**FREQUENCY_BITS for table, one in zip(chosen, symbols, strict=True)]
        assert len(data) <= -np.sum(np.log2(shares)) / 8 + 2


def test_tables_are_laws() -> None:
    for table in tables():
        steps = np.diff(table)
        assert table[-1] == 2**FREQUENCY_BITS
        assert steps.min() >= 1
        assert np.abs(steps - steps[::-1]).max() == 0


def test_logarithms_are_those_of_all_machines() -> None:
    values = np.array([1, 2, 3, 4095, 8191, 8192, 1 << 20, (1 << 30) + 1])
    assert np.abs(eighths(values) - 8 * np.log2(values)).max() <= 0.51
    assert [eighth(int(value)) for value in values] == eighths(values).tolist()


def test_a_code_is_read_as_it_was_written(model: PromptAutoencoder, images: Tensor) -> None:
    book, tiles = CodeBook(model), images * 2 - 1
    components, learned = model.project(tiles).numpy(), model.learn(tiles).round().long().numpy()
    for budget in (20, 60, 300):
        code = book.fit(components, budget, learned=learned if budget > 20 else None)
        assert code is not None
        data = book.pack(code)
        assert abs(len(data) - budget) <= max(3, 0.1 * budget) or code.step == 0
        found = book.unpack(data + b"\0" * 7, [len(images)], complete=True)
        assert found is not None
        assert np.array_equal(found.components, code.components)
        assert np.array_equal(found.learned, code.learned)
        assert (found.step, found.whole) == (code.step, True)


def test_what_is_read_of_a_beginning_is_right_and_the_rest_is_nothing(model: PromptAutoencoder, images: Tensor) -> None:
    book = CodeBook(model)
    code = book.fit(model.project(images * 2 - 1).numpy(), 200)
    assert code is not None
    data = book.pack(code)
    for length in range(HEAD, len(data) - 1, 7):
        found = book.unpack(data[:length], [len(images)], complete=False)
        assert found is not None
        assert not found.whole
        wrong = found.components != code.components
        assert not found.components[wrong].any()
        assert not wrong[:, : found.arrived].any()


def test_every_beginning_is_a_better_image(coder: PromptCoder, wide_image: Tensor) -> None:
    """Of the sketch: what random weights make of it says nothing."""
    signed = wide_image * 2 - 1
    code = coder.code_at(signed, 300, 0)
    assert code is not None
    data, errors = coder.book.pack(code), []
    for length in (5, 40, 80, 160, len(data)):
        found = coder.book.unpack(data[:length], coder.tiles_of(24, 40), complete=length == len(data))
        assert found is not None
        errors.append(float((coder.scene(found, 24, 40).sketch - signed).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1 * errors[0]


def test_the_spread_is_that_of_what_is_missing(coder: PromptCoder, wide_image: Tensor) -> None:
    signed = wide_image * 2 - 1
    code = coder.code_at(signed, 300, 0)
    assert code is not None
    lacks = float((coder.scene(code, 24, 40).sketch - signed).square().mean().sqrt())
    assert coder.book.spread(code) == pytest.approx(lacks, rel=0.05)
    cut = coder.book.unpack(coder.book.pack(code)[:60], coder.tiles_of(24, 40), complete=False)
    assert cut is not None
    assert coder.book.spread(cut) > 1.5 * coder.book.spread(code)


def test_learned_scales_make_codes_shorter(model: PromptAutoencoder, images: Tensor) -> None:
    """A wrong account of the components' sizes costs bits: the statistics are used."""
    values = quantise(model.project(images * 2 - 1), 0.25).long().numpy()
    scale = model.scale.long().numpy() + 16
    right = cost_bits(values, table_numbers(values, scale)).sum()
    assert cost_bits(values, table_numbers(values, scale + 24)).sum() > 1.01 * right
    alike = np.full_like(scale, round(float(scale.mean())) + 24)
    assert cost_bits(values, table_numbers(values, alike)).sum() > 1.01 * right


@pytest.mark.parametrize("budget", [4, 9, 50, 400])
def test_a_coding_fits_its_budget(coder: PromptCoder, wide_image: Tensor, budget: int) -> None:
    pixels = to_pixels(wide_image * 2 - 1)[0]
    data = coder.encode(pixels, budget)
    assert data is not None
    assert len(data) <= budget
    shown = coder.decode(data + b"\0" * 3, (24, 40, 3), complete=True)
    assert shown is not None
    assert shown.shape == (24, 40, 3)


def test_nothing_fits_in_less_than_a_head(coder: PromptCoder, wide_image: Tensor) -> None:
    assert coder.encode(to_pixels(wide_image * 2 - 1)[0], HEAD - 1) is None


def test_grey_images_stay_grey(coder: PromptCoder, images: Tensor) -> None:
    pixels = to_pixels(images[:1, :1] * 2 - 1)[0]
    data = coder.encode(pixels, 80)
    assert data is not None
    shown = coder.decode(data, (16, 16, 1), complete=True)
    assert shown is not None
    assert shown.shape == (16, 16, 1)


def test_random_bytes_are_no_code_or_an_image(coder: PromptCoder) -> None:
    rng = np.random.default_rng(0)
    made = 0
    for i in range(150):
        data = rng.bytes(int(rng.integers(0, 60)))
        if i % 2 and len(data) > 3:  # of the right form, with anything in it
            data = bytes([128 | (data[0] & 63), data[1], 0, data[3] & 127]) + data[4:]
        shown = coder.decode(data, (16, 16, 3), complete=bool(i % 3))
        assert shown is None or (shown.shape == (16, 16, 3) and shown.dtype == np.uint8)
        made += shown is not None
    assert made > 20


def test_images_that_no_prompt_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="c of 1 or 3"):
        to_signed(np.zeros((4, 4, 2), np.uint8))
    with pytest.raises(ValueError, match="2\\^24 pixels"):
        to_signed(np.broadcast_to(np.uint8(0), (1 << 13, 1 << 12, 3)))


def test_pixels_come_back() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    assert np.array_equal(to_pixels(to_signed(pixels))[0], pixels)
    assert torch.equal(to_signed(pixels[:, :, :1])[:, 0], to_signed(pixels[:, :, :1])[:, 2])
