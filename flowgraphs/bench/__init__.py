"""Speed on this machine, and the block error rates of the digital link."""

from semlink.flowgraphs.bench.ablations import ablation_table, run_ablations
from semlink.flowgraphs.bench.against import run_against
from semlink.flowgraphs.bench.bler import run_bler
from semlink.flowgraphs.bench.channels import run_channels
from semlink.flowgraphs.bench.codes import run_codes
from semlink.flowgraphs.bench.endurance import run_endurance
from semlink.flowgraphs.bench.everything import run_bench
from semlink.flowgraphs.bench.gsc import GSC_WAYS, gsc_lines, gsc_table, measure_gsc_table, run_gsc_table
from semlink.flowgraphs.bench.heads import HEAD_LINKS, heads_table, run_heads
from semlink.flowgraphs.bench.neural import run_neural
from semlink.flowgraphs.bench.peers import run_peers
from semlink.flowgraphs.bench.play import run_play_bench
from semlink.flowgraphs.bench.prompts import (
    PROMPT_BUDGETS,
    PromptFiles,
    Worth,
    measure_prompts,
    prompt_coders,
    rendering_seconds,
    run_prompts,
    worth_table,
)
from semlink.flowgraphs.bench.published import run_published
from semlink.flowgraphs.bench.radio import run_radio
from semlink.flowgraphs.bench.receivers import measure_quality, run_receivers
from semlink.flowgraphs.bench.security import run_security
from semlink.flowgraphs.bench.service import asker, load_figures, load_table, run_service, textures
from semlink.flowgraphs.bench.studies import run_studies

__all__ = [
    "GSC_WAYS",
    "HEAD_LINKS",
    "PROMPT_BUDGETS",
    "PromptFiles",
    "Worth",
    "ablation_table",
    "asker",
    "gsc_lines",
    "gsc_table",
    "heads_table",
    "load_figures",
    "load_table",
    "measure_gsc_table",
    "measure_prompts",
    "measure_quality",
    "prompt_coders",
    "rendering_seconds",
    "run_ablations",
    "run_against",
    "run_bench",
    "run_bler",
    "run_channels",
    "run_codes",
    "run_endurance",
    "run_gsc_table",
    "run_heads",
    "run_neural",
    "run_peers",
    "run_play_bench",
    "run_prompts",
    "run_published",
    "run_radio",
    "run_receivers",
    "run_security",
    "run_service",
    "run_studies",
    "textures",
    "worth_table",
]
