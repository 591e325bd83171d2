"""Studies: hundreds of points, stopped and resumed, on one machine or several; reports and figures of them."""

from semlink.flowgraphs.studies.compared import Shown, read_shown
from semlink.flowgraphs.studies.engine import Engine
from semlink.flowgraphs.studies.figures import plot_psnr, plot_quantity, save_figure
from semlink.flowgraphs.studies.html_report import write_report
from semlink.flowgraphs.studies.plan import Curve, Plan, Point, Refine, Stop
from semlink.flowgraphs.studies.progress import study_progress
from semlink.flowgraphs.studies.runner import Progress, estimate_seconds, run_study
from semlink.flowgraphs.studies.study import Study, read_results, read_study

__all__ = [
    "Curve",
    "Engine",
    "Plan",
    "Point",
    "Progress",
    "Refine",
    "Shown",
    "Stop",
    "Study",
    "estimate_seconds",
    "plot_psnr",
    "plot_quantity",
    "read_results",
    "read_shown",
    "read_study",
    "run_study",
    "save_figure",
    "study_progress",
    "write_report",
]
