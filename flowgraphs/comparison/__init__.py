"""The same images through several codecs over one channel: the comparison, its report, margins and checks."""

from semlink.flowgraphs.comparison.account import LEDGER
from semlink.flowgraphs.comparison.accuracy import Score, check_classes, is_logits, labels_of
from semlink.flowgraphs.comparison.card_figures import count_figures, installed_metrics, measure_figures, named
from semlink.flowgraphs.comparison.cells import by_codec, psnr_cell
from semlink.flowgraphs.comparison.check import Finding, check_channel, check_codec
from semlink.flowgraphs.comparison.check_parts import check_code, check_constellation, check_interleaver, kind_of
from semlink.flowgraphs.comparison.cliff import Cliff, find_cliff
from semlink.flowgraphs.comparison.comparison import (
    BATCH_PIXELS,
    COLUMNS,
    Comparison,
    batches,
    compare,
    conditions_of,
    fades,
    pixels,
    usual_realisations,
)
from semlink.flowgraphs.comparison.frames import Frames, frame_key, try_codecs
from semlink.flowgraphs.comparison.gsc import claim_table, contestants, default_gsc, judge
from semlink.flowgraphs.comparison.gsc_users import judge_users, measure_users, run_gsc, users_curves
from semlink.flowgraphs.comparison.latex import escaped, latex_table, rate_cell, results_table
from semlink.flowgraphs.comparison.margins import psnr_margin
from semlink.flowgraphs.comparison.memory import check_fitting, fitting, worker_bytes
from semlink.flowgraphs.comparison.outer_loop import run_olla
from semlink.flowgraphs.comparison.plots import COLOURS, MARKERS, as_fraction, draw_curves, write_image
from semlink.flowgraphs.comparison.privacy import Attack, known_plaintext, pieces
from semlink.flowgraphs.comparison.receiver_report import margin_table, printed, receiver_margins
from semlink.flowgraphs.comparison.record import RECORD, digest_of, sent_file
from semlink.flowgraphs.comparison.report import (
    MARGINS,
    describe,
    run_compare,
    writable,
)
from semlink.flowgraphs.comparison.tally import Pixels, Tally, column_of
from semlink.flowgraphs.comparison.terminal import make_console, progress_bar
from semlink.flowgraphs.comparison.uncertainty import BRIGHTNESS, spreads

__all__ = [
    "BATCH_PIXELS",
    "BRIGHTNESS",
    "COLOURS",
    "COLUMNS",
    "LEDGER",
    "MARGINS",
    "MARKERS",
    "RECORD",
    "Attack",
    "Cliff",
    "Comparison",
    "Finding",
    "Frames",
    "Pixels",
    "Score",
    "Tally",
    "as_fraction",
    "batches",
    "by_codec",
    "check_channel",
    "check_classes",
    "check_code",
    "check_codec",
    "check_constellation",
    "check_fitting",
    "check_interleaver",
    "claim_table",
    "column_of",
    "compare",
    "conditions_of",
    "contestants",
    "count_figures",
    "default_gsc",
    "describe",
    "digest_of",
    "draw_curves",
    "escaped",
    "fades",
    "find_cliff",
    "fitting",
    "frame_key",
    "installed_metrics",
    "is_logits",
    "judge",
    "judge_users",
    "kind_of",
    "known_plaintext",
    "labels_of",
    "latex_table",
    "make_console",
    "margin_table",
    "measure_figures",
    "measure_users",
    "named",
    "pieces",
    "pixels",
    "printed",
    "progress_bar",
    "psnr_cell",
    "psnr_margin",
    "rate_cell",
    "receiver_margins",
    "results_table",
    "run_compare",
    "run_gsc",
    "run_olla",
    "sent_file",
    "spreads",
    "try_codecs",
    "users_curves",
    "usual_realisations",
    "worker_bytes",
    "writable",
    "write_image",
]
