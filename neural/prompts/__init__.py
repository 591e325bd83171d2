"""Prompts: an image as a short file, from which a diffusion autoencoder renders it."""

from semlink.neural.prompts.analogue import PromptAnalogue
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
from semlink.neural.prompts.coder import PromptCoder
from semlink.neural.prompts.files import Prompt, PromptError, read_prompt, write_prompt
from semlink.neural.prompts.studio import Rendered, Samples, Studio

__all__ = [
    "PROMPT_MODELS",
    "SCHEDULE",
    "SPREADS",
    "STEPS",
    "Condition",
    "Prompt",
    "PromptAnalogue",
    "PromptAutoencoder",
    "PromptCard",
    "PromptCoder",
    "PromptError",
    "Rendered",
    "Samples",
    "Studio",
    "build_prompt_model",
    "load_prompt_model",
    "prompt_cards",
    "quantise",
    "read_prompt",
    "read_prompt_card",
    "spread_index",
    "spread_of",
    "step_size",
    "write_prompt",
    "write_prompt_card",
]
