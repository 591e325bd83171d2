"""Prompts among the codecs: their code as a source coder of the digital link, and as amplitudes."""

from __future__ import annotations

from functools import lru_cache

from semlink.baselines.sources import find_source
from semlink.neural.prompts import THUMBNAILS, PromptCoder, Studio, load_prompt_model

PROMPT = "prompt"
"""The source coder's name, as in prompt-ldpc-qam."""
ANALOGUE = "prompt-analogue"
"""The codec that sends a prompt's components as amplitudes."""


@lru_cache(1)
def prompt_coder() -> PromptCoder:
    """The coder with the weights that ship, one for all, so that its codings are made once.

    Raises:
        ValueError: this version ships no weights.
    """
    return PromptCoder()


@lru_cache(1)
def prompt_sha256() -> str:
    """SHA-256 of these weights.

    Raises:
        ValueError: as `prompt_coder`.
    """
    return load_prompt_model()[1].sha256


def prompt_studio(model: str | None = None) -> Studio:
    """What makes and shows files of prompts, with our source coders for thumbnails.

    Args:
        model: as of `load_prompt_model`; None for the one that ships.

    Raises:
        ValueError: no such model.
    """
    network, card = load_prompt_model() if model is None else load_prompt_model(model)
    return Studio(PromptCoder(network), card.mark, {name: find_source(name) for name in THUMBNAILS.values()})
