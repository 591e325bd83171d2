"""Classifiers: teachers by name and hash, links that deliver a label or logits, and the codec made for a task."""

from semlink.neural.classifiers.architecture import (
    Architecture,
    random_architecture,
    read_architecture,
    write_architecture,
)
from semlink.neural.classifiers.classified import Classified
from semlink.neural.classifiers.label import LABEL_USES, LabelCodec, least_uses, simplex_words
from semlink.neural.classifiers.seen import Seen
from semlink.neural.classifiers.student import USUAL, make_cell
from semlink.neural.classifiers.task import TaskCodec
from semlink.neural.classifiers.task_cards import (
    TASK_MODELS,
    TaskCard,
    build_task,
    find_teacher,
    load_task,
    read_task_card,
    task_cards,
    write_task_card,
)
from semlink.neural.classifiers.task_link import TaskLink
from semlink.neural.classifiers.teachers import TEACHERS, Teacher, load_teacher, multiply_adds

__all__ = [
    "LABEL_USES",
    "TASK_MODELS",
    "TEACHERS",
    "USUAL",
    "Architecture",
    "Classified",
    "LabelCodec",
    "Seen",
    "TaskCard",
    "TaskCodec",
    "TaskLink",
    "Teacher",
    "build_task",
    "find_teacher",
    "least_uses",
    "load_task",
    "load_teacher",
    "make_cell",
    "multiply_adds",
    "random_architecture",
    "read_architecture",
    "read_task_card",
    "simplex_words",
    "task_cards",
    "write_architecture",
    "write_task_card",
]
