"""How well a network does on the way: what is measured, over which channels and levels, and measuring it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from torch import nn

from semlink.neural.classifiers import TaskLink
from semlink.neural.diffusion import SymbolDenoiser
from semlink.neural.prompts import PromptAutoencoder
from semlink.neural.training.data import Data
from semlink.neural.training.lessons import Lessons
from semlink.neural.training.prompts import LEVELS, SERIES, prompt_figures
from semlink.neural.training.receivers import over, receive_by
from semlink.neural.training.recipe import PROMPTS, STAGES, Settings
from semlink.neural.training.runlog import ESNO_DB, save_pictures, validate
from semlink.neural.training.tasks import accuracies, levels_of
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Channel, Codec

CHANNELS: Mapping[str, Channel] = {
    "psnr_db": AWGN(),
    "rayleigh_block_psnr_db": Rayleigh("block"),
    "rayleigh_fast_psnr_db": Rayleigh("fast"),
}
"""What the card of a codec will show, by the name of the column."""

Figures = dict[str, dict[float, float]]
"""By series and level."""


class Gauge:
    """What is measured of a training.

    Attributes:
        channels: by series, as the card will show: of a receiver two, of a bound that has no card AWGN.
        series: names of what is measured.
        levels: Es/N0 in dB of it; of a model of prompts, numbers of quantiser steps.
        unit: what the levels are, as the columns of the log call it.
    """

    def __init__(self, settings: Settings, codec: Codec | None, denoiser: SymbolDenoiser | None = None) -> None:
        self.settings, self.codec, self.denoiser, self._of_codec = settings, codec, denoiser, Figures()
        shown = {"codec": 3, "sft-1": 1}.get(settings.task, 2)
        self.channels = dict(list(CHANNELS.items())[:shown])
        self.series: tuple[str, ...] = tuple(self.channels)
        self.levels: tuple[float, ...] = ESNO_DB
        self.unit = "db"
        if codec is not None:
            self.series = (*self.series, *(f"codec_{name}" for name in self.series))
        if settings.task in STAGES:
            self.series, self.levels = ("accuracy",), levels_of(settings)
        if settings.task == PROMPTS:
            self.series, self.levels, self.unit = SERIES, LEVELS, "step"

    def measure(self, model: nn.Module, data: Data | Lessons, picture: Path) -> Figures:
        """PSNR in dB by Es/N0 over each channel, of a receiver beside the codec alone; or the accuracy.

        Args:
            model: the network.
            data: with the images for it.
            picture: where a picture goes of what arrives over AWGN.
        """
        images, codec = data.validation, self.codec
        if isinstance(data, Lessons):
            return {"accuracy": accuracies(cast(TaskLink, model), images, data.validation_labels, self.levels)}
        if isinstance(model, PromptAutoencoder):
            return {name: dict(row) for name, row in prompt_figures(model, images).items()}
        receive = {
            name: receive_by(model, codec, self.settings, channel, self.denoiser)
            for name, channel in self.channels.items()
        }
        save_pictures(receive["psnr_db"], images, picture)
        if codec is not None and not self._of_codec:
            alone = {name: over(codec, channel) for name, channel in self.channels.items()}
            self._of_codec = {f"codec_{name}": validate(one, images) for name, one in alone.items()}
        return {name: validate(one, images) for name, one in receive.items()} | self._of_codec
