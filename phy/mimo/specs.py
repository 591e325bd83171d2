"""Multi-antenna schemes as the command line names them: `mimo:4x2,mmse`, `uplink:users=3,rx=3,sic`."""

from __future__ import annotations

from semlink.phy.mimo.multiuser import Downlink, Uplink
from semlink.phy.mimo.schemes import Alamouti, Mrc, Mrt, Multiplexing, Svd
from semlink.phy.mimo.spatial import Scheme, Single

DETECTORS = ("mmse", "zf", "k-best", "svd", "alamouti", "mrc", "mrt")
"""What `mimo` takes as a bare word."""
UPLINK_DETECTORS = ("mmse", "zf", "sic")
"""Of an array that several users send to."""
PRECODERS = ("rzf", "zf", "mrt")
"""Of an array that sends to several users."""


def make_mimo(
    tx: int, rx: int, word: str, *, power: str | None = None, width: int | None = None, streams: int | None = None
) -> Scheme:
    """The scheme of one user with `tx` antennas at the transmitter and `rx` at the receiver.

    Raises:
        ValueError: an unknown word, or numbers of antennas that it does not take.
    """
    for name, value, owner in (("power", power, "svd"), ("streams", streams, "svd"), ("width", width, "k-best")):
        if value is not None and word != owner:
            raise ValueError(f"{name}={value} is for {owner}; {word} has no use for it")
    if word in ("mmse", "zf", "k-best"):
        return Multiplexing(tx, rx, word, width or 16)  # type: ignore[arg-type]  # one of its words
    if word == "svd":
        return Svd(tx, rx, power or "water-filling", streams)  # type: ignore[arg-type]  # checked there
    if word == "mrt":
        return Mrt(tx, rx)
    if word not in DETECTORS:
        raise ValueError(f"{word!r} must be one of: {', '.join(DETECTORS)}")
    wanted = 2 if word == "alamouti" else 1
    if tx != wanted:
        raise ValueError(f"{tx}x{rx}: {word} takes {wanted} transmit antenna{'s' * (wanted > 1)}, as in {wanted}x{rx}")
    return Alamouti(rx) if word == "alamouti" else Mrc(rx)


def describe_scheme(scheme: Scheme) -> str:
    """The text that names it; one that is none of ours goes by its class."""
    if isinstance(scheme, Uplink):
        return f"uplink:users={scheme.users},rx={scheme.rx},{scheme.detector}"
    if isinstance(scheme, Downlink):
        return f"downlink:users={scheme.users},tx={scheme.tx},{scheme.precoder}"
    if not isinstance(scheme, Single | Multiplexing | Svd | Alamouti | Mrc | Mrt):
        return f"mimo:{scheme.tx}x{scheme.rx},{type(scheme).__name__}"
    extra = ""
    if isinstance(scheme, Svd) and scheme.power != "water-filling":
        extra = f",power={scheme.power}"
    if isinstance(scheme, Svd) and scheme.streams != min(scheme.tx, scheme.rx):
        extra += f",streams={scheme.streams}"
    if isinstance(scheme, Multiplexing) and scheme.detector == "k-best" and scheme.width != 16:
        extra = f",width={scheme.width}"
    return f"mimo:{scheme.tx}x{scheme.rx},{scheme.equaliser}{extra}"
