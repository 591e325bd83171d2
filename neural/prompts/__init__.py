"""Prompts: an image as a short file, from which a diffusion autoencoder renders it."""

from semlink.neural.prompts.autoencoder import (
    SCHEDULE,
    SPREADS,
    STEPS,
    Condition,
    PromptAutoencoder,
    quantise,
    spread_index,
    spread_of,
    step_size,
)
from semlink.neural.prompts.cards import (
    PROMPT_MODELS,
    PromptCard,
    build_prompt_model,
    load_prompt_model,
    prompt_cards,
    read_prompt_card,
    write_prompt_card,
)

__all__ = [
    "PROMPT_MODELS",
    "SCHEDULE",
    "SPREADS",
    "STEPS",
    "Condition",
    "PromptAutoencoder",
    "PromptCard",
    "build_prompt_model",
    "load_prompt_model",
    "prompt_cards",
    "quantise",
    "read_prompt_card",
    "spread_index",
    "spread_of",
    "step_size",
    "write_prompt_card",
]
