"""The simulator's channel over bursts of samples."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from semlink.phy.channels import WaveformChannel, parse_channel
from semlink.phy.link import ERASED, Frame, Link, Received
from semlink.phy.rng import image_rngs, probe
from semlink.phy.waveform import Waveform

SPECS = ("waveform:sc,cfo=0.004,ppm=20", "waveform:ofdm,cfo=0.2,ppm=20,taps=3")


def channel(spec: str) -> WaveformChannel:
    """As the command line makes it."""
    made = parse_channel(spec)
    assert isinstance(made, WaveformChannel)
    return made


@pytest.mark.parametrize("spec", SPECS)
def test_the_error_is_the_noise_that_was_promised(spec: str) -> None:
    sent = probe(6, 3000)
    got = channel(spec)(sent, 0.01, rng=torch.Generator().manual_seed(0))
    squares = (got.symbols - sent).abs().square()
    assert float((squares / got.n0).mean()) == pytest.approx(1, abs=0.1)
    if spec.startswith("waveform:sc"):
        assert float(squares.mean() / 0.01) < 10**0.05
    assert (got.symbols.dtype, got.n0.dtype, got.gain) == (sent.dtype, torch.float32, None)


def test_the_ledger_pays_for_everything_that_is_sent() -> None:
    got = channel("waveform:sc")(probe(1, 5000), 0.1, rng=torch.Generator().manual_seed(0))
    assert got.uses == {"payload": 5000, "preamble": 192, "header": 672, "pilot": 360, "guard": 32}
    got = channel("waveform:ofdm")(probe(1, 100), 0.1, rng=torch.Generator().manual_seed(0))
    assert got.uses == {"payload": 100, "preamble": 104, "header": 336, "pilot": 40, "padding": 44}


class Analogue:
    """A codec that sends an image's values as they are."""

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        """Values about 0, scaled."""
        values = torch.view_as_complex(image.flatten(1).reshape(len(image), -1, 2) - 0.5)
        return Frame(values * values.abs().square().mean(1, keepdim=True).rsqrt(), {"payload": values.shape[1]})

    def decode(self, received: Received) -> torch.Tensor:
        """Back to [0, 1], roughly."""
        c, h, w = received.image_shape or (0, 0, 0)
        return (torch.view_as_real(received.symbols).flatten(1) / 4 + 0.5).clamp(0, 1).reshape(-1, c, h, w)


def test_a_codec_is_linked_over_it() -> None:
    image = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    got = Link(Analogue(), channel("waveform:sc,ppm=20"))(image, 20.0, rng=image_rngs(0, image))
    assert got.uses["payload"] == 384
    assert got.ratio == sum(got.uses.values()) / 768
    assert "single carrier" in got.ledger["waveform"]  # type: ignore[operator]


def test_what_is_not_found_is_erased() -> None:
    """At -15 dB nothing is; of a burst that cannot be read nothing is made up."""
    for spec in SPECS:
        got = channel(spec)(probe(2, 500), 10**1.5, rng=torch.Generator().manual_seed(1))
        assert (got.n0 == ERASED).all()
        assert not got.symbols.any()


def test_a_lost_burst_is_erased_and_the_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    made = channel("waveform:sc,segment=300")
    waveform = made.waveform
    original = waveform.modulate

    def second_is_lost(header: object, symbols: np.ndarray) -> np.ndarray:
        return original(header, symbols) * (header.segment != 1)  # type: ignore[arg-type, attr-defined]

    class Lossy:
        modulate = staticmethod(second_is_lost)

        def __getattr__(self, name: str) -> object:
            return getattr(waveform, name)

    lossy: Waveform = Lossy()  # type: ignore[assignment]
    monkeypatch.setitem(made.__dict__, "waveform", lossy)
    sent = probe(1, 900)
    got = made(sent, 0.01, rng=torch.Generator().manual_seed(2))
    assert ((got.n0 == ERASED)[0] == (torch.arange(900) // 300 == 1)).all()
    assert float((got.symbols - sent)[0, :300].abs().square().mean()) < 0.02


@pytest.mark.parametrize("spec", [*SPECS, "waveform:sc,segment=100+rapp:ibo=6+adc:bits=8"])
def test_neither_batch_nor_order_matters(spec: str) -> None:
    made, images = parse_channel(spec), torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(3))
    sent = probe(4, 250)
    whole = made(sent, 0.05, rng=image_rngs(1, images))
    order = torch.tensor([2, 0, 3, 1])
    other = made(sent[order], 0.05, rng=image_rngs(1, images[order]))
    assert torch.equal(whole.symbols[order], other.symbols)
    shared = torch.Generator().manual_seed(5)
    parts = [made(part, 0.05, rng=shared).symbols for part in (sent[:1], sent[1:])]
    torch.testing.assert_close(torch.cat(parts), made(sent, 0.05, rng=torch.Generator().manual_seed(5)).symbols)


def test_stages_act_on_the_samples() -> None:
    sent = probe(1, 4000)
    plain, rough = (
        parse_channel(text)(sent, 1e-4, rng=torch.Generator().manual_seed(6))
        for text in ("waveform:sc", "waveform:sc+adc:bits=4")
    )
    error = [(one.symbols - sent).abs().square().mean().item() for one in (plain, rough)]
    assert error[1] > 5 * error[0]
    assert rough.n0.mean() > 5 * plain.n0.mean()


def test_single_precision_and_double_come_back_as_they_were() -> None:
    got = channel("waveform")(probe(1, 100).to(torch.complex128), 0.1, rng=torch.Generator().manual_seed(7))
    assert (got.symbols.dtype, got.n0.dtype) == (torch.complex128, torch.float64)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (partial(WaveformChannel, "fm"), "kind='fm' must be one of: sc, ofdm"),
        (partial(WaveformChannel, cfo=0.1), "cfo=0.1 must be from -0.08 to 0.08 cycles per symbol"),
        (partial(WaveformChannel, "ofdm", cfo=6.0), "cfo=6.0 must be from -5 to 5 carriers"),
        (partial(WaveformChannel, ppm=500.0), "ppm=500.0"),
        (partial(WaveformChannel, taps=3), "a single carrier has no equaliser"),
        (partial(WaveformChannel, "ofdm", taps=9), "taps=9 must be a whole number from 1 to 8"),
        (partial(WaveformChannel, segment=0), "segment=0"),
        (partial(WaveformChannel, "ofdm", sps=8), "pulses are of sc"),
        (partial(WaveformChannel, sps=1), "samples_per_symbol=1"),
    ],
)
def test_options_out_of_range_are_refused(make: partial[WaveformChannel], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
