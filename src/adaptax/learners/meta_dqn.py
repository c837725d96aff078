"""Meta-DQN: one Q-network for all tasks that reads what is known of the task beside the state."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.core.types import PRNGKey, PyTree
from adaptax.fields import Count
from adaptax.inner.conditioned import Conditioned
from adaptax.nn.net import PureNet, mlp
from adaptax.nn.q_network import q_network


class MetaDQN(Conditioned):
    r"""$Q_\theta(s, a, z)$: one network for all tasks; z tells it which one this is.

    State and z are concatenated and read by two layers. z is the task's descriptor, or what a small network makes of a
    first phase of random steps: of each of them, averaged, or of their second moments. A life's $\phi = (\theta, z)$.

    Attributes:
        latent: Size of z where it is not the descriptor.

    References:
        Schaul, Horgan, Gregor & Silver, 2015, "Universal Value Function Approximators", ICML (a value function that
        reads what the task is beside the state); Hallak, Di Castro & Mannor, 2015, arXiv:1502.02259 (contexts).

    Differences from the paper: there the task is a goal in one world; here it is whatever tells tasks apart.
    """

    latent: Count = 32

    @property
    def network(self) -> PureNet:
        """Q of encoded observations, with z among its parameters."""
        spec = self.bound
        net = q_network(spec.observation.size + self._latent, spec.action.size, self.hidden, self.dueling)
        apply = lambda params, features: net.apply(params["net"], jnp.concatenate([features, params["z"]]))
        return PureNet(lambda key: {"net": net.init(key), "z": jnp.zeros(self._latent)}, apply)

    @property
    def _latent(self) -> int:
        return self.bound.descriptor if self.features == "descriptor" else self.latent

    @property
    def reader(self) -> PureNet:
        """What makes z of one row of task features."""
        return mlp((self.told_shape[1], self.hidden, self.latent), jax.nn.relu, last_gain=1.0)

    def fresh(self, key: PRNGKey) -> PyTree:
        """The network, and what reads task features for it."""
        key_net, key_reader = jax.random.split(key)
        reader = () if self.features == "descriptor" else self.reader.init(key_reader)
        return {"net": self.network.init(key_net)["net"], "reader": reader}

    def made(self, params: PyTree, told: Float[Array, "n F"]) -> PyTree:
        """The same network in each task, with a z of its own."""
        if self.features == "descriptor":
            return {"net": params["net"], "z": told[0]}
        return {"net": params["net"], "z": jnp.mean(jax.vmap(self.reader.apply, (None, 0))(params["reader"], told), 0)}
