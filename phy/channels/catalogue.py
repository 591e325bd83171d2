"""The channels and the stages that a specification may name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, get_args

from semlink.phy import impairments
from semlink.phy.channels.channels import AWGN, Mimo, Nakagami, Rayleigh, Rician
from semlink.phy.channels.options import Entry, Option
from semlink.phy.channels.waveform import Kind, WaveformChannel
from semlink.phy.fading import Csi, FadingLaw, NakagamiLaw, RayleighLaw, RicianLaw
from semlink.phy.impairments import Jammer, Jamming, Side
from semlink.phy.mimo import (
    DETECTORS,
    PRECODERS,
    UPLINK_DETECTORS,
    Downlink,
    Equaliser,
    Scheme,
    Single,
    Uplink,
    make_mimo,
)
from semlink.phy.ofdm import OFDM, Cdl, Domain, Tdl
from semlink.phy.pilots import Estimator
from semlink.phy.security import FriendlyJammer, JammingPower, Path


def _fading(K: float | None = None, m: float | None = None) -> FadingLaw:  # noqa: N803 - Rice's K
    if K is not None and m is not None:
        raise ValueError("K is of Rician, m of Nakagami fading; give one of them")
    return RicianLaw(K) if K is not None else NakagamiLaw(m) if m is not None else RayleighLaw()


def _moving(options: dict[str, Any]) -> dict[str, Any]:
    """With Doppler, every channel use has a gain of its own unless something else is said.

    Raises:
        ValueError: an option that would do nothing.
    """
    _needs(options, "csi", "estimated", ("pilots", "spacing", "estimator"))
    if options.get("csi") == "none" and "equaliser" in options:
        raise ValueError("equaliser is not for csi=none")
    if "spacing" in options and not options.get("doppler"):
        raise ValueError("spacing is for doppler above 0; pilots and coherence say where pilots lie without")
    if options.get("doppler") and options.get("csi") != "outdated":
        options.setdefault("coherence", "fast")
    return options


def _needs(options: dict[str, Any], key: str, value: str, others: tuple[str, ...]) -> None:
    """Raise ValueError if one of the others is given without this value of the option."""
    given = [name.replace("_", "-") for name in others if name in options]
    if given and options.get(key) != value:
        raise ValueError(f"{', '.join(given)}: only with {key}={value}")


def _rayleigh(**options: Any) -> Rayleigh:  # noqa: ANN401
    return Rayleigh(**_moving(options))


def _rician(K: float = 6.0, **options: Any) -> Rician:  # noqa: ANN401, N803
    return Rician(k_db=K, **_moving(options))


def _nakagami(m: float = 2.0, **options: Any) -> Nakagami:  # noqa: ANN401
    return Nakagami(m=m, **_moving(options))


def _mimo(
    antennas: tuple[int, int],
    scheme: str = "mmse",
    *,
    power: str | None = None,
    width: int | None = None,
    streams: int | None = None,
    K: float | None = None,  # noqa: N803
    m: float | None = None,
    tx_corr: float = 0.0,
    rx_corr: float = 0.0,
    **options: Any,  # noqa: ANN401
) -> Mimo:
    chosen = make_mimo(*antennas, scheme, power=power, width=width, streams=streams)
    law = _fading(K, m)
    return Mimo(antennas=chosen, fading=law, tx_correlation=tx_corr, rx_correlation=rx_corr, **_moving(options))


def _uplink(users: int = 3, rx: int = 3, detector: str = "mmse", *, rx_corr: float = 0.0, **options: Any) -> Mimo:  # noqa: ANN401
    chosen = Uplink(users, rx, detector)  # type: ignore[arg-type]  # checked there
    return Mimo(antennas=chosen, rx_correlation=rx_corr, **_moving(options))


def _downlink(users: int = 3, tx: int = 4, precoder: str = "rzf", *, tx_corr: float = 0.0, **options: Any) -> Mimo:  # noqa: ANN401
    chosen = Downlink(users, tx, precoder)  # type: ignore[arg-type]  # checked there
    return Mimo(antennas=chosen, tx_correlation=tx_corr, **_moving(options))


def _ofdm(
    path: type[Tdl] | type[Cdl],
    profile: str,
    *,
    ds: float = 100e-9,
    fc: float = 3.5e9,
    v: float = 0.0,
    antennas: tuple[int, int] = (1, 1),
    scheme: str = "mmse",
    power: str | None = None,
    width: int | None = None,
    streams: int | None = None,
    guard_low: int = 28,
    guard_high: int = 27,
    dc: str = "empty",
    spacing: float = 30e3,
    **options: Any,  # noqa: ANN401
) -> OFDM:
    _needs(options, "csi", "estimated", ("estimator", "pilot_carriers", "pilot_symbols"))
    own = {key: options.pop(key) for key in ("direction", "rx_rows", "tx_rows") if key in options}
    if antennas == (1, 1) and scheme not in ("zf", "mmse"):
        raise ValueError(f"{scheme} is for several antennas; with one at each end, give zf or mmse")
    given = {"power": power, "width": width, "streams": streams}
    if antennas == (1, 1) and any(value is not None for value in given.values()):
        raise ValueError(f"{', '.join(key for key, value in given.items() if value is not None)}: for several antennas")
    if antennas == (1, 1):
        chosen: Scheme = Single(scheme)  # type: ignore[arg-type]  # one of the two, as checked
    else:
        chosen = make_mimo(*antennas, scheme, power=power, width=width, streams=streams)
    guards = (guard_low, guard_high)
    paths = path(profile, ds, carrier_hz=fc, speed_mps=v, **own)  # type: ignore[arg-type]  # A … E, as listed below
    return OFDM(paths, chosen, spacing_hz=spacing, guards=guards, dc=dc == "empty", **options)


def _jammer(jsr: float, kind: str = "barrage", **options: Any) -> Jammer | FriendlyJammer:  # noqa: ANN401
    _needs({"kind": kind, **options}, "kind", "friendly", ("power", "fading"))
    return FriendlyJammer(jsr, **options) if kind == "friendly" else Jammer(kind, jsr)  # type: ignore[arg-type]


_COMMON = {
    "coherence": Option("channel uses that share a gain: block, fast or a number", "coherence", default="block"),
    "csi": Option("what the receiver knows of the gains", "word", words=get_args(Csi), default="perfect"),
    "doppler": Option("Doppler spread", unit="cycles per channel use", default="0"),
    "pilots": Option("pilots for each antenna and gain, with csi=estimated", "count", default="1"),
    "spacing": Option("symbols between pilots, with csi=estimated and Doppler", "count", default="16"),
    "estimator": Option("from pilots: least squares or Wiener", "choice", words=get_args(Estimator), default="mmse"),
    "delay": Option("age of outdated CSI", unit="channel uses", default="0"),
}
_EQUALISER = {"equaliser": Option("one-tap equaliser", "word", words=get_args(Equaliser), default="zf")}
_SIDE = {"side": Option("where it acts; each has a side of its own without", "word", words=get_args(Side))}
_MIMO = {
    "antennas": Option("transmit x receive", "antennas", default=None),
    "scheme": Option("what they do", "word", words=DETECTORS, default="mmse"),
    "power": Option("of svd's streams", "choice", words=("water-filling", "equal"), default="water-filling"),
    "streams": Option("of svd", "count", default="as many as there can be"),
    "width": Option("candidates of k-best", "count", default="16"),
    "K": Option("Rice factor, for Rician gains", unit="dB"),
    "m": Option("Nakagami's m, for his gains"),
    "tx-corr": Option("correlation of neighbouring transmit antennas", default="0"),
    "rx-corr": Option("correlation of neighbouring receive antennas", default="0"),
}
_TDL = "OFDM over a tapped delay line of 3GPP TR 38.901; D and E have a line of sight"
_CDL = "OFDM over a clustered delay line of 3GPP TR 38.901, with arrays and angles; D and E have a line of sight"
_OFDM = {
    "ds": Option("root mean square delay spread", unit="s", default="100ns"),
    "fc": Option("carrier frequency", unit="Hz", default="3.5GHz"),
    "v": Option("speed", unit="m/s", default="0"),
    "antennas": Option("transmit x receive", "antennas", default="1x1"),
    "scheme": Option("what tells carriers and antennas apart", "word", words=DETECTORS, default="mmse"),
    "power": _MIMO["power"],
    "streams": _MIMO["streams"],
    "width": _MIMO["width"],
    "csi": Option("what the receiver knows", "word", words=("perfect", "estimated", "none"), default="perfect"),
    "estimator": _COMMON["estimator"],
    "pilot-carriers": Option("one carrier in so many has pilots, with csi=estimated", "count", default="4"),
    "pilot-symbols": Option("one OFDM symbol in so many has pilots, with csi=estimated", "count", default="7"),
    "spacing": Option("of the carriers", unit="Hz", default="30kHz"),
    "fft": Option("size of the FFT", "count", default="128"),
    "cp": Option("samples of the cyclic prefix", "count", default="9"),
    "guard-low": Option("empty carriers at the lower edge", "count", default="28"),
    "guard-high": Option("empty carriers at the upper edge", "count", default="27"),
    "dc": Option("the carrier in the middle", "choice", words=("empty", "used"), default="empty"),
    "domain": Option("where the channel acts; stages need time", "word", words=get_args(Domain), default="frequency"),
}
_ARRAY = {
    "direction": Option("who sends", "word", words=("downlink", "uplink"), default="downlink"),
    "rx-rows": Option("rows of the receiving array", "count", default="1"),
    "tx-rows": Option("rows of the transmitting array", "count", default="1"),
}
_WAVEFORM = {
    "kind": Option("single carrier, or OFDM with the carriers of 802.11a", "word", words=get_args(Kind), default="sc"),
    "cfo": Option("carrier frequency offset", unit="cycles per symbol; with ofdm, carriers", default="0"),
    "ppm": Option("sampling period too long", unit="ppm", default="0"),
    "taps": Option("echoes, with ofdm, every second sample, each 3 dB weaker", "count", default="1"),
    "segment": Option("payload symbols of a burst at most", "count", default="4096"),
    "sps": Option("samples per symbol, with sc", "count", default="4"),
    "rolloff": Option("of the root-raised-cosine pulses, with sc", default="0.25"),
}
_USERS = {"users": Option("single-antenna users; the others send QPSK", "count", default="3")}

CHANNELS: Mapping[str, Entry] = {
    "awgn": Entry("additive white Gaussian noise", {}, AWGN),
    "rayleigh": Entry("flat Rayleigh fading, one antenna", {**_COMMON, **_EQUALISER}, _rayleigh),
    "rician": Entry(
        "flat Rician fading: a direct path beside the scatter",
        {"K": Option("Rice factor", unit="dB", default="6"), **_COMMON, **_EQUALISER},
        _rician,
    ),
    "nakagami": Entry(
        "flat Nakagami-m fading",
        {"m": Option("1 is Rayleigh, more is milder", default="2"), **_COMMON, **_EQUALISER},
        _nakagami,
    ),
    "mimo": Entry("flat fading between several antennas, one user", {**_MIMO, **_COMMON}, _mimo),
    "uplink": Entry(
        "several users to one array, flat Rayleigh fading; what one of them gets",
        {
            **_USERS,
            "rx": Option("receive antennas", "count", default="3"),
            "detector": Option("what tells the users apart", "word", words=UPLINK_DETECTORS, default="mmse"),
            "rx-corr": _MIMO["rx-corr"],
            **_COMMON,
        },
        _uplink,
    ),
    "downlink": Entry(
        "one array to several users, flat Rayleigh fading; what one of them gets",
        {
            **_USERS,
            "tx": Option("transmit antennas", "count", default="4"),
            "precoder": Option("what keeps the users apart", "word", words=PRECODERS, default="rzf"),
            "tx-corr": _MIMO["tx-corr"],
            **_COMMON,
        },
        _downlink,
    ),
    "waveform": Entry(
        "bursts sample by sample over white noise: the receiver finds timing, frequency, phase and gain by itself",
        _WAVEFORM,
        WaveformChannel,
    ),
    **{f"tdl-{profile.lower()}": Entry(_TDL, _OFDM, partial(_ofdm, Tdl, profile)) for profile in "ABCDE"},
    **{f"cdl-{profile.lower()}": Entry(_CDL, {**_OFDM, **_ARRAY}, partial(_ofdm, Cdl, profile)) for profile in "ABCDE"},
}
"""Channels by name."""


_OWN: Mapping[str, Entry] = {
    "rapp": Entry(
        "solid-state amplifier (Rapp)",
        {
            "ibo": Option("input back-off", unit="dB", default=None),
            "p": Option("smoothness of the knee", default="2"),
        },
        lambda ibo, p=2.0: impairments.Rapp(ibo, p),
    ),
    "saleh": Entry(
        "travelling-wave tube amplifier (Saleh)",
        {
            "ibo": Option("input back-off", unit="dB", default=None),
            "beta-a": Option("of Saleh's amplitude", default="1.1517"),
            "alpha-p": Option("of his phase", default="4.0033"),
            "beta-p": Option("of his phase", default="9.104"),
        },
        lambda ibo, **shape: impairments.Saleh(ibo, **shape),
    ),
    "clip": Entry(
        "clipped envelope",
        {"level": Option("over the mean power", unit="dB", default=None)},
        lambda level: impairments.Clip(level),
    ),
    "phase-noise": Entry(
        "free-running oscillator",
        {"linewidth": Option("two-sided 3 dB linewidth", unit="over the sample rate", default=None)},
        lambda linewidth: impairments.PhaseNoise(linewidth),
    ),
    "cfo": Entry(
        "carrier frequency offset",
        {
            "offset": Option("what is left of it", unit="cycles per sample", default=None),
            "phase": Option("at the start", unit="radians", default="random"),
        },
        lambda offset, phase="random": impairments.CarrierOffset(offset, phase),
    ),
    "sfo": Entry(
        "sampling clock offset",
        {
            "ppm": Option("sampling period too long", unit="ppm", default=None),
            "delay": Option("timing error", unit="samples", default="0"),
        },
        lambda ppm, delay=0.0: impairments.SamplingOffset(ppm, delay),
    ),
    "iq": Entry(
        "gain and phase imbalance of the mixer",
        {
            "gain": Option("imbalance", unit="dB", default="0"),
            "phase": Option("imbalance", unit="degrees", default="0"),
        },
        lambda gain=0.0, phase=0.0: impairments.IqImbalance(gain, phase),
    ),
    "dc": Entry(
        "a constant beside the signal",
        {"level": Option("over the mean power", unit="dB", default=None)},
        lambda level: impairments.DcOffset(level),
    ),
    "dac": Entry(
        "quantisation at the transmitter",
        {
            "bits": Option("of each axis", "count", default=None),
            "headroom": Option("full scale over an axis's mean power", unit="dB", default="12"),
        },
        lambda bits, headroom=12.0: impairments.Dac(bits, headroom),
    ),
    "adc": Entry(
        "quantisation at the receiver",
        {
            "bits": Option("of each axis", "count", default=None),
            "headroom": Option("full scale over an axis's mean power", unit="dB", default="12"),
        },
        lambda bits, headroom=12.0: impairments.Adc(bits, headroom),
    ),
    "interferer": Entry(
        "another transmitter on the same carrier (QPSK)",
        {"sir": Option("signal over interference", unit="dB", default=None)},
        lambda sir: impairments.Interferer(sir),
    ),
    "jammer": Entry(
        "a jammer",
        {
            "kind": Option(
                "of its signal; friendly: noise that hides the link from a warden",
                "word",
                words=(*get_args(Jamming), "friendly"),
                default="barrage",
            ),
            "jsr": Option("jammer over signal; of power=uniform at most", unit="dB", default=None),
            "power": Option("of a friendly one, for each image", "word", words=get_args(JammingPower), default="fixed"),
            "fading": Option("of a friendly one's path", "choice", words=get_args(Path), default="none"),
        },
        _jammer,
    ),
}
STAGES = {name: Entry(entry.help, {**entry.options, **_SIDE}, entry.make) for name, entry in _OWN.items()}
"""Impairments and interference by name; those of one side act in the order given."""
