"""What the radios do to the symbols, and who else is on the air."""

from semlink.phy.impairments.frontend import IDEAL, Distorted, Medium, Radio, Side, Stage
from semlink.phy.impairments.interference import Interferer, Jammer, Jamming
from semlink.phy.impairments.stages import (
    Adc,
    CarrierOffset,
    Clip,
    Dac,
    DcOffset,
    IqImbalance,
    PhaseNoise,
    Quantiser,
    Rapp,
    Saleh,
    SamplingOffset,
)

__all__ = [
    "IDEAL",
    "Adc",
    "CarrierOffset",
    "Clip",
    "Dac",
    "DcOffset",
    "Distorted",
    "Interferer",
    "IqImbalance",
    "Jammer",
    "Jamming",
    "Medium",
    "PhaseNoise",
    "Quantiser",
    "Radio",
    "Rapp",
    "Saleh",
    "SamplingOffset",
    "Side",
    "Stage",
]
