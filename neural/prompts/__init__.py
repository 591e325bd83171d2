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
from semlink.neural.prompts.coder import PromptCoder, to_pixels, to_signed
from semlink.neural.prompts.files import THUMBNAILS, Prompt, PromptError, least_budget, read_prompt, write_prompt
from semlink.neural.prompts.published import (
    Loaded,
    PublishedPrompt,
    corrupt,
    load_published,
    sent_bytes,
)
from semlink.neural.prompts.rendering import Renderer, Scene, draw_noise
from semlink.neural.prompts.studio import Distance, Rendered, Samples, Stage, Studio, squared

__all__ = [
    "PROMPT_MODELS",
    "SCHEDULE",
    "SPREADS",
    "STEPS",
    "THUMBNAILS",
    "Condition",
    "Distance",
    "Loaded",
    "Prompt",
    "PromptAnalogue",
    "PromptAutoencoder",
    "PromptCard",
    "PromptCoder",
    "PromptError",
    "PublishedPrompt",
    "Rendered",
    "Renderer",
    "Samples",
    "Scene",
    "Stage",
    "Studio",
    "build_prompt_model",
    "corrupt",
    "draw_noise",
    "least_budget",
    "load_prompt_model",
    "load_published",
    "prompt_cards",
    "quantise",
    "read_prompt",
    "read_prompt_card",
    "sent_bytes",
    "spread_index",
    "spread_of",
    "squared",
    "step_size",
    "to_pixels",
    "to_signed",
    "write_prompt",
    "write_prompt_card",
]
