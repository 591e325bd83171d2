"""Receivers that restore: diffusion models and their controls, behind any codec."""

from semlink.neural.diffusion.catalogue import TASKS, ReceiverCard, build_receiver, load_codec, write_receiver_card
from semlink.neural.diffusion.cddm import SymbolDenoiser, grid_of
from semlink.neural.diffusion.control import ResidualCNN
from semlink.neural.diffusion.ddpm import Schedule
from semlink.neural.diffusion.receivers import Denoised, Receiver, Refined, Samples
from semlink.neural.diffusion.refiner import Refiner
from semlink.neural.diffusion.sft import CONFIGS, SFT, absolute_errors
from semlink.neural.diffusion.zoo import (
    find_receiver,
    keep_receiver_card,
    load_receiver,
    read_receiver,
    receiver_cards,
    receiver_names,
)

__all__ = [
    "CONFIGS",
    "SFT",
    "TASKS",
    "Denoised",
    "Receiver",
    "ReceiverCard",
    "Refined",
    "Refiner",
    "ResidualCNN",
    "Samples",
    "Schedule",
    "SymbolDenoiser",
    "absolute_errors",
    "build_receiver",
    "find_receiver",
    "grid_of",
    "keep_receiver_card",
    "load_codec",
    "load_receiver",
    "read_receiver",
    "receiver_cards",
    "receiver_names",
    "write_receiver_card",
]
