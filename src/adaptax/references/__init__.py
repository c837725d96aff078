"""What a perfect agent gets, and what classical algorithms get: the scale on which learners are read."""

from adaptax.references import (
    bandits,
    contextual,
    dark,
    frozen_lake,
    grid,
    learned_reward,
    maze,
    point,
    restless,
    room_navigation,
    tabular,
    treasure,
    two_step,
)
from adaptax.references.base import Reference, references

__all__ = [
    "Reference",
    "bandits",
    "contextual",
    "dark",
    "frozen_lake",
    "grid",
    "learned_reward",
    "maze",
    "point",
    "references",
    "restless",
    "room_navigation",
    "tabular",
    "treasure",
    "two_step",
]
