"""Training: recipes, data, losses, optimiser and the loop that goes on after a kill."""

from semlink.neural.training.data import Data, training_images
from semlink.neural.training.lessons import KEPT, task_lessons
from semlink.neural.training.loop import TrainingError, train
from semlink.neural.training.muon import Muon
from semlink.neural.training.recipe import Settings, read_recipe
from semlink.neural.training.search import KINDS, check_search, search

__all__ = [
    "KEPT",
    "KINDS",
    "Data",
    "Muon",
    "Settings",
    "TrainingError",
    "check_search",
    "read_recipe",
    "search",
    "task_lessons",
    "train",
    "training_images",
]
