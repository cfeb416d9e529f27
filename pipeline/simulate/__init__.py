"""The simulated company: the demo's data, and the known truth that tests compare with."""

from pipeline.simulate.parameters import DeadFeed, WorldOptions
from pipeline.simulate.truth import WorldState, true_probability
from pipeline.simulate.world import Truth, World, simulate, write_world

__all__ = [
    "DeadFeed",
    "Truth",
    "World",
    "WorldOptions",
    "WorldState",
    "simulate",
    "true_probability",
    "write_world",
]
