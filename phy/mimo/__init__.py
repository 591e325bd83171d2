"""Several antennas and several users: schemes, detectors, precoders and their closed forms."""

from semlink.phy.mimo import theory
from semlink.phy.mimo.kbest import kbest_llr
from semlink.phy.mimo.multiuser import Downlink, OccupiedUplink, Uplink
from semlink.phy.mimo.schemes import (
    Alamouti,
    Mrc,
    Mrt,
    Multiplexing,
    Svd,
    correlate,
    exponential_correlation,
    kronecker_root,
)
from semlink.phy.mimo.spatial import (
    Equaliser,
    Scheme,
    Single,
    add_distortion,
    antenna_energy,
    distortion_covariance,
    energy,
    from_antennas,
    groups,
    to_antennas,
)
from semlink.phy.mimo.specs import DETECTORS, PRECODERS, UPLINK_DETECTORS, describe_scheme, make_mimo

__all__ = [
    "DETECTORS",
    "PRECODERS",
    "UPLINK_DETECTORS",
    "Alamouti",
    "Downlink",
    "Equaliser",
    "Mrc",
    "Mrt",
    "Multiplexing",
    "OccupiedUplink",
    "Scheme",
    "Single",
    "Svd",
    "Uplink",
    "add_distortion",
    "antenna_energy",
    "correlate",
    "describe_scheme",
    "distortion_covariance",
    "energy",
    "exponential_correlation",
    "from_antennas",
    "groups",
    "kbest_llr",
    "kronecker_root",
    "make_mimo",
    "theory",
    "to_antennas",
]
