"""Training: recipes, data, losses, optimiser and the loop that goes on after a kill."""

from semlink.neural.training.data import Data, training_images
from semlink.neural.training.lessons import KEPT
from semlink.neural.training.loop import TrainingError, train
from semlink.neural.training.muon import Muon
from semlink.neural.training.recipe import Settings, read_recipe

__all__ = [
    "KEPT",
    "Data",
    "Muon",
    "Settings",
    "TrainingError",
    "read_recipe",
    "train",
    "training_images",
]
