"""Policies that share out a budget: a denoising actor (GDM), a plain network, twin critics, and how they learn."""

from semlink.neural.policies.actors import GDM, MLPActor, TwinCritic, VariancePreserving
from semlink.neural.policies.learning import POLICIES, Environment, Learner, PolicySettings

__all__ = [
    "GDM",
    "POLICIES",
    "Environment",
    "Learner",
    "MLPActor",
    "PolicySettings",
    "TwinCritic",
    "VariancePreserving",
]
