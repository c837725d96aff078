"""A feed-forward policy: network, exploration noise and distribution in one value."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from adaptax.nn.net import Params, PureNet, mlp
from adaptax.ops.distributions import Distribution, initial_log_std, policy_over
from adaptax.ops.spaces import ActionSpace, Space


class Policy(NamedTuple):
    """A policy over `action_space` that reads `observation_space` (and, where given, extra features)."""

    net: PureNet
    observation_space: Space
    action_space: ActionSpace
    log_std: Array | float = 0.0

    def init(self, key: Array) -> Params:
        """Fresh parameters."""
        return {"net": self.net.init(key), "log_std": initial_log_std(self.action_space, self.log_std)}

    def __call__(self, params: Params, observation: Array, *context: Array) -> Distribution:
        """The distribution over actions at one observation."""
        return self.at_features(params, jnp.concatenate([self.observation_space.encode(observation), *context]))

    def at_features(self, params: Params, features: Array) -> Distribution:
        """The distribution where the observation is encoded already."""
        return policy_over(self.action_space, self.net.apply(params["net"], features), params["log_std"])


def feed_forward(
    observation: Space,
    action: ActionSpace,
    hidden: int,
    *,
    context: int = 0,
    net: PureNet | None = None,
    log_std: Array | float = 0.0,
) -> Policy:
    """Two tanh layers of `hidden` units, or the network given."""
    net = net or mlp((observation.size + context, hidden, hidden, action.size))
    return Policy(net, observation, action, log_std)
