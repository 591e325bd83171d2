"""How far oscillators may be apart: in the help, in errors, where a radio is listened to, and under GNU Radio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from semlink.flowgraphs.radio import apps
from semlink.flowgraphs.radio.carrier_reach import describe_reach, reach_help
from semlink.phy.waveform import OFDM_REACH, SINGLE_CARRIER_REACH, Seen


def test_the_reach_in_words() -> None:
    assert describe_reach(SINGLE_CARRIER_REACH, rate_hz=1e6, carrier_hz=915e6) == (
        "±21.9 ppm (±20 kHz) at 915 MHz and 1 Msample/s"
    )
    assert describe_reach(OFDM_REACH, rate_hz=2.5e6, carrier_hz=2.4125e9) == (
        "±81 ppm (±195.3 kHz) at 2412.5 MHz and 2.5 Msample/s"
    )
    assert "915 MHz and 1 Msample/s" in reach_help()


def test_the_help_says_it_for_both_waveforms(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        apps.main(["receive", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "0.02 cycles per sample (sc) or 0.0781 (ofdm)" in text
    assert "may be 21.9 or 85.4 ppm apart" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cfo", "0.03"], "cfo=0.03 must be from -0.02 to 0.02 cycles per sample"),
        (["--cfo", "nan"], "cfo=nan must be from"),
        (["--cfo", "-0.03"], "±21.9 ppm (±20 kHz) at 915 MHz and 1 Msample/s"),
        (["--cfo", "-0.03", "--frequency", "2.4e9", "--rate", "3e6"], "±25 ppm (±60 kHz) at 2400 MHz and 3 Msample/s"),
        (["--cfo", "0.08", "--waveform", "ofdm"], "±85.4 ppm"),
    ],
)
def test_an_offset_that_no_burst_is_found_at_is_refused_with_the_reach(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apps, "_open_coder", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        apps.main(["receive", "--radio", "sim", *words])
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert said in text
    assert len(text.splitlines()) == 1


class Silent:
    """A radio's receiver that hears nothing."""

    def __init__(self, source: object, *, waveform: str, sps: int, rate: float) -> None:
        assert (source, waveform, sps, rate) == ("source", "sc", 4, 2e6)

    def frames(self) -> Iterator[None]:
        yield None

    def seen(self) -> Seen:
        """Nothing."""
        return Seen()

    def close(self) -> None:
        """Nothing is open."""


def test_who_listens_to_a_radio_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def open_source(kind: str, *, device: str, frequency: float, rate: float, gain: float) -> str:
        assert (kind, device, frequency, rate, gain) == ("pluto", "", 433.92e6, 2e6, 30.0)
        return "source"

    monkeypatch.setattr(apps, "_open_coder", lambda *_: None)
    monkeypatch.setattr(apps, "_radios", lambda: SimpleNamespace(open_source=open_source, RadioReceiver=Silent))
    with pytest.raises(SystemExit):
        apps.main(["receive", "--radio", "pluto", "--frequency", "433.92e6", "--rate", "2e6", "--seconds", "0"])
    first, *_ = capsys.readouterr().err.splitlines()
    assert first == (
        "semlink: listening; oscillators may be apart by ±92.2 ppm (±40 kHz) at 433.92 MHz and 2 Msample/s"
    )


@pytest.mark.parametrize(
    ("tx", "rx", "cfo"), [("burst_tx", "burst_rx", -SINGLE_CARRIER_REACH), ("ofdm_tx", "ofdm_rx", OFDM_REACH)]
)
def test_the_blocks_bear_the_largest_offset(run_radio: Callable[..., Any], tx: str, rx: str, cfo: float) -> None:
    """With the clock that is as far off at 915 MHz and 1 Msample/s."""
    told, bursts = run_radio(f"""
        from semlink.flowgraphs.radio.blocks import {tx}, {rx}, loopback_channel
        from semlink.flowgraphs.radio.pmt_pdus import frame_pdu, received_of
        from semlink.phy.waveform.header import BurstHeader
        tx, rx, frames, bursts = {tx}(idle=False), {rx}(), Probe(), Probe()
        line = loopback_channel(esno_db=20, cfo={cfo!r}, ppm={cfo / 915e-6!r}, phase=1, delay=100.3)
        top = gr.top_block()
        top.connect(tx, line, rx)
        top.msg_connect(rx, "frames", frames, "in")
        top.msg_connect(rx, "bursts", bursts, "in")
        top.start()
        sent = gaussian(9000, 1)
        post(tx, "frames", frame_pdu(BurstHeader(codec=2, height=100, width=180), sent))
        wait(lambda: len(frames.got) == 1)
        top.stop(); top.wait()
        frame = received_of(frames.got[0])
        error = float(np.mean(np.abs(frame.symbols - sent) ** 2))
        print(json.dumps([[frame.lost, error], [pmt.to_python(one)["cfo"] for one in bursts.got]]))
    """)
    assert told[0] == 0
    assert told[1] < 0.012
    assert bursts == pytest.approx([cfo] * 3, abs=5e-6)
