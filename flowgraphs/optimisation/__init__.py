"""What to spend on: covert image links and water-filling, their optima, and policies that learn to reach them."""

from semlink.flowgraphs.optimisation.covert import Covert, Decision
from semlink.flowgraphs.optimisation.oracle import Optimum, check_feasible, solve
from semlink.flowgraphs.optimisation.pictures import draw_learning, draw_surface
from semlink.flowgraphs.optimisation.report import make_problem, run_optimise
from semlink.flowgraphs.optimisation.surface import QualitySurface, measure_surface, read_surface, stored_surface
from semlink.flowgraphs.optimisation.trials import references, stored_curves, train_policy, worlds_aside
from semlink.flowgraphs.optimisation.water_filling import WaterFilling, water_fill

__all__ = [
    "Covert",
    "Decision",
    "Optimum",
    "QualitySurface",
    "WaterFilling",
    "check_feasible",
    "draw_learning",
    "draw_surface",
    "make_problem",
    "measure_surface",
    "read_surface",
    "references",
    "run_optimise",
    "solve",
    "stored_curves",
    "stored_surface",
    "train_policy",
    "water_fill",
    "worlds_aside",
]
