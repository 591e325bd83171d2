"""Channels by their text: what is read, what is refused, and that a label reads back as the same channel."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from semlink.flowgraphs.cli.app import app
from semlink.flowgraphs.specs import make_channel
from semlink.phy.channels import (
    AWGN,
    CHANNELS,
    STAGES,
    UNITS,
    Chain,
    Mimo,
    Nakagami,
    Rayleigh,
    Rician,
    parse_channel,
    with_options,
)
from semlink.phy.impairments import Rapp
from semlink.phy.mimo import Alamouti, Downlink, Multiplexing, Svd, Uplink
from semlink.phy.rng import probe


@pytest.mark.parametrize(
    ("text", "channel"),
    [
        ("awgn", AWGN()),
        ("rayleigh", Rayleigh()),
        ("rayleigh:fast,estimated", Rayleigh("fast", "estimated")),
        ("rayleigh:coherence=16,csi=estimated,pilots=2,estimator=ls",
         Rayleigh(16, "estimated", pilots=2, estimator="ls")),
        ("rayleigh:doppler=0.01,outdated,delay=4,mmse",
         Rayleigh("block", "outdated", doppler=0.01, delay=4.0, equaliser="mmse")),
        ("rician:K=6", Rician(k_db=6.0)),
        ("rician:K=-3dB,doppler=1e-3", Rician("fast", k_db=-3.0, doppler=1e-3)),
        ("nakagami:m=0.7,block", Nakagami(m=0.7)),
        ("mimo:4x4,svd", Mimo(antennas=Svd(4, 4))),
        ("mimo:2x4,zf,tx-corr=0.5,fast", Mimo("fast", antennas=Multiplexing(2, 4, "zf"), tx_correlation=0.5)),
        ("mimo:2x1,alamouti", Mimo(antennas=Alamouti(1))),
        ("uplink:users=3,rx=4,sic", Mimo(antennas=Uplink(3, 4, "sic"))),
        ("uplink", Mimo(antennas=Uplink(3, 3, "mmse"))),
        ("downlink:users=2,tx=8,mrt", Mimo(antennas=Downlink(2, 8, "mrt"))),
    ],
)  # fmt: skip
def test_a_text_is_the_channel_it_says(text: str, channel: object) -> None:
    assert parse_channel(text) == channel


def test_stages_act_at_their_side_in_the_order_given() -> None:
    chain = parse_channel("rayleigh:fast+phase-noise:linewidth=1e-5+rapp:ibo=6+adc:bits=6")
    assert isinstance(chain, Chain)
    assert chain.channel == Rayleigh("fast")
    assert [stage.spec for stage in chain.radio.transmitter] == ["phase-noise:linewidth=1e-5", "rapp:ibo=6"]
    assert chain.radio.transmitter[1] == Rapp(6.0)
    assert [stage.spec for stage in chain.radio.receiver] == ["adc:bits=6"]
    assert parse_channel("awgn+phase-noise:linewidth=1e-5,receiver").radio.receiver  # type: ignore[attr-defined]


EXAMPLES = (
    *sorted(CHANNELS.keys() - {"mimo"}), "mimo:4x2", "mimo:4x4,svd,power=equal", "mimo:2x2,k-best,width=8",
    "mimo:1x4,mrc", "mimo:4x1,mrt", "mimo:2x2,K=3,rx-corr=0.3", "mimo:2x2,m=2", "rayleigh:none,fast",
    "nakagami:m=3,estimated,coherence=7", "rayleigh:doppler=0.01,estimated,spacing=8",
    "uplink:users=2,rx=8,zf,rx-corr=0.2", "downlink:tx=8,zf,estimated",
    "tdl-c:ds=100ns,v=3,estimated", "tdl-a:ds=30ns,fc=2GHz,v=30km/h,estimated,estimator=ls,time", "tdl-d:4x4,svd",
    "tdl-c:2x2,alamouti,csi=estimated,pilot-carriers=6", "tdl-b:csi=none,fft=64,guard-low=6,guard-high=5",
    "cdl-c:2x2,uplink,rx-rows=2", "tdl-c:time,spacing=15kHz,cp=16,dc=used+rapp:ibo=6",
    "awgn+rapp:ibo=6,p=3+saleh:ibo=8+clip:level=3+dac:bits=6,headroom=9", "awgn+cfo:offset=0.0001+sfo:ppm=20",
    "awgn+iq:gain=0.5,phase=3+dc:level=-30+adc:bits=6+interferer:sir=10+jammer:tone,jsr=-5",
    "mimo:2x2,K=0", "mimo:4x4,svd,streams=2", "awgn+adc:bits=5,side=transmitter+rapp:ibo=3,side=receiver",
    "awgn+saleh:ibo=6,beta-a=2,alpha-p=3+cfo:offset=0,phase=0", "tdl-c+rapp:ibo=6", "rician:K=+6+clip:level=+2",
    "rayleigh:coherence=7,estimated+jammer:pilot,jsr=-10+phase-noise:linewidth=1e-5,side=receiver",
)  # fmt: skip


@pytest.mark.parametrize("text", EXAMPLES)
def test_a_label_reads_back_as_the_same_channel(text: str) -> None:
    channel = parse_channel(text)
    label = channel.labels["spec"]  # type: ignore[attr-defined]
    again = parse_channel(label)
    assert again.labels == channel.labels  # type: ignore[attr-defined]
    sent = torch.ones(1, 64, dtype=torch.complex64)
    one, other = (c(sent, 0.1, rng=torch.Generator().manual_seed(1)) for c in (channel, again))
    assert torch.equal(one.symbols, other.symbols)
    assert torch.equal(one.n0, other.n0)
    assert torch.isfinite(one.n0).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("moon", "channel 'moon' must be one of: awgn, rayleigh"),
        ("", "channel '' must be one of"),
        ("awgn+rain", "stage 'rain' must be one of: rapp"),
        ("awgn:K=3", "awgn: 'K' is no option of it; it has: none"),
        ("rayleigh:K=3", "'K' is no option of it; it has: coherence, csi"),
        ("rayleigh:fest", "'fest' is neither key=value nor a word it knows"),
        ("rayleigh:csi=half", "csi=half must be one of: perfect, estimated, outdated, none"),
        ("rayleigh:coherence=0", "coherence=0"),
        ("rayleigh:coherence=1.5", "coherence=1.5 must be block, fast or a whole number"),
        ("rayleigh:fast,block", "coherence is given twice"),
        ("rayleigh:estimated,pilots=0", "pilots=0"),
        ("rician:K=abc", "K=abc must be a number, in dB"),
        ("rician:K=6ns", "K=6ns must be a number, in dB"),
        ("rician:K=inf", "K=inf must be a number"),
        ("nakagami:m=0.1", "m=0.1 must be from 0.5"),
        ("mimo", "mimo: lacks antennas"),
        ("mimo:4by4", "'4by4' is neither"),
        ("mimo:0x4", "tx=0"),
        ("mimo:4x2,zf", "zero-forced"),
        ("mimo:4x4,alamouti", "alamouti takes 2 transmit antennas, as in 2x4"),
        ("mimo:4x4,mrc", "mrc takes 1 transmit antenna, as in 1x4"),
        ("mimo:2x2,K=3,m=2", "give one of them"),
        ("mimo:2x2,csi=none", "csi='none'"),
        ("uplink:users=4,rx=3,zf", "users=4"),
        ("rayleigh:pilots=3", "pilots: only with csi=estimated"),
        ("rayleigh:estimator=ls", "estimator: only with csi=estimated"),
        ("rayleigh:estimated,spacing=4", "spacing is for doppler above 0"),
        ("rayleigh:none,equaliser=mmse", "equaliser is not for csi=none"),
        ("rayleigh:estimated,pilots=1000000000", "must be a whole number from 1 to 10000"),
        ("tdl-c:pilot-carriers=0", "pilot-carriers: only with csi=estimated"),
        ("tdl-c:power=equal", "power: for several antennas"),
        ("mimo:4x4,power=equal", "power=equal is for svd"),
        ("mimo:4x4,mmse,width=3", "width=3 is for k-best"),
        ("awgn+Rapp:ibo=3", "stage 'Rapp' (did you mean 'rapp'?) must be one of: rapp"),
        ("awgn+rapp", "rapp: lacks ibo (input back-off)"),
        ("awgn+adc:bits=0", "bits=0"),
        ("rayleigh+rapp:ibo=99", "ibo_db=99"),
    ],
)
def test_a_refusal_names_the_value_and_what_exists(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_channel(text)
    assert said in str(caught.value)


def test_options_beside_the_text_go_into_it() -> None:
    assert with_options("rayleigh", {}) == "rayleigh"
    assert with_options("rayleigh:fast+rapp:ibo=6", {"csi": "none"}) == "rayleigh:fast,csi=none+rapp:ibo=6"
    assert make_channel("rayleigh", coherence="7", csi=None, equaliser="mmse") == Rayleigh(7, equaliser="mmse")
    with pytest.raises(ValueError, match="coherence is given twice"):
        with_options("rayleigh:fast", {"coherence": "block"})
    with pytest.raises(ValueError, match="equaliser: the channel mimo has no such option; these have: rayleigh"):
        with_options("mimo:2x2", {"equaliser": "zf"})


def test_units_are_carried_over() -> None:
    assert UNITS["s"]["ns"] == 1e-9
    assert UNITS["m/s"]["km/h"] == pytest.approx(1 / 3.6)
    assert parse_channel("rician:K=6dB") == parse_channel("rician:K=6")


def test_the_list_of_channels_names_every_option() -> None:
    text = CliRunner().invoke(app, ["channels"]).stdout
    for table in (CHANNELS, STAGES):
        for name, entry in table.items():
            assert name in text
            assert entry.help in text
            for key, option in entry.options.items():
                assert f"{key}: {option.help}" in text
    listed = json.loads(CliRunner().invoke(app, ["channels", "--json"]).stdout)
    assert set(listed["channels"]) == set(CHANNELS)
    assert set(listed["stages"]) == set(STAGES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("awgn+jammer:pilot,jsr=0", "the frame has no pilots to jam"),
        ("tdl-c:domain=frequency+rapp:ibo=6", "time"),
        ("cdl-a:3x3,rx-rows=2", "rows"),
        ("mimo:4x4,svd,estimated+rapp:ibo=3", "takes no impairments"),
    ],
)
def test_what_a_channel_refuses_in_use_shows_before_a_run(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_channel(text, coherence=None, csi=None, equaliser=None)


@pytest.mark.parametrize("name", sorted(CHANNELS))
def test_every_channel_is_the_same_in_any_batching(name: str) -> None:
    channel = parse_channel({"mimo": "mimo:2x2"}.get(name, name))
    sent = torch.randn(3, 40, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    whole = channel(sent, 0.1, rng=torch.Generator().manual_seed(1))
    rng = torch.Generator().manual_seed(1)
    parts = [channel(part, 0.1, rng=rng) for part in (sent[:1], sent[1:])]
    torch.testing.assert_close(whole.symbols, torch.cat([p.symbols for p in parts]), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(whole.n0, torch.cat([p.n0 for p in parts]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "mimo:1x8,mrc+rapp:ibo=0", "uplink:users=3,rx=16,mmse,fast+rapp:ibo=0", "mimo:2x4,alamouti+rapp:ibo=0",
        "mimo:8x1,mrt+rapp:ibo=0", "tdl-c:8x1,mrt+rapp:ibo=0", "tdl-c:2x4,alamouti+rapp:ibo=0",
        "tdl-c:1x8,mrc+rapp:ibo=0", "tdl-c:2x8,mmse+rapp:ibo=0", "tdl-c:4x4,svd,power=equal+cfo:offset=0,transmitter",
        "mimo:4x4,svd,power=equal,fast+iq:gain=3", "awgn+clip:level=0", "awgn+rapp:ibo=0",
        "rayleigh:fast,mmse+interferer:sir=6", "mimo:1x4,mrc,fast+adc:bits=3",
    ],
)  # fmt: skip
def test_noise_variance_handed_back_holds_behind_stages(text: str) -> None:
    """Mean error over what is promised, symbols weighed as a decoder would; 0.8 dB is allowed for the averaging."""
    sent = probe(60, 512)
    got = parse_channel(text)(sent, 0.01, rng=[torch.Generator().manual_seed(i) for i in range(60)]).unbiased()
    weight = 1 / (0.01 + got.n0)
    ratio = ((got.symbols - sent).abs().square() * weight).mean() / (got.n0 * weight).mean()
    assert 0.83 < ratio < 1.2
