"""The memories that a learner can be given by name."""

from collections.abc import Callable
from typing import Literal

from adaptax.nn.attention import attention, linear_attention
from adaptax.nn.recurrent import Recurrent, gru

Memory = Literal["gru", "attention", "linear-attention"]
MEMORIES: dict[Memory, Callable[[int, int, int], Recurrent]] = {
    "gru": lambda inputs, hidden, life: gru(inputs, hidden),
    "attention": attention,
    "linear-attention": lambda inputs, hidden, life: linear_attention(inputs, hidden),
}


def memory(name: Memory, inputs: int, hidden: int, life: int) -> Recurrent:
    """A sequence model.

    Args:
        name: Which.
        inputs: Numbers of an input.
        hidden: Numbers of an output.
        life: Steps of a life in training.
    """
    return MEMORIES[name](inputs, hidden, life)
