"""Hypernetwork DQN: a recurrent network reads what is known of a task and puts out a whole Q-network."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.core.types import PRNGKey, PyTree
from adaptax.fields import Count
from adaptax.inner.conditioned import Conditioned
from adaptax.nn.hyper import hyper_network
from adaptax.nn.net import PureNet, mlp
from adaptax.nn.recurrent import gru


class HyperDQN(Conditioned):
    r"""A recurrent network reads what is known of a task and puts out all weights and biases of its Q-network.

    $\phi = H_\theta(\mathrm{GRU}_\theta(x_1 \dots x_n))$, where x is what the first phases of a life told, step by
    step; or one row, the task's descriptor or second moments of these steps, which a plain layer reads. TD learning
    goes on from $\phi$.

    Trained across tasks T, by their TD error through all of this: $\theta$ descends
    $\mathrm{mean}_{T, (s, a)}\, h(Q_{\phi_T(\theta)}(s, a) - y)$ on what lives in many tasks recorded, h being Huber's
    loss, with targets y from a copy of $\theta$ that follows slowly.

    Attributes:
        recurrent: Units of what reads the features.
        trunk: Units in each of the two layers between it and the heads.
        chunk: Parameters that come out of one head at once; see `nn.hyper`.

    References:
        Ha, Dai & Le, 2016, arXiv:1609.09106 (hypernetworks); Beck, Jackson, Vuorio & Whiteson, 2022, arXiv:2210.11348
        (how to begin their training in meta-reinforcement learning).

    Differences from the paper: Beck et al. generate a policy from the state of a recurrent network at every step, and
    train it by policy gradient; here a Q-network is generated once in a task, and goes on learning from there.
    """

    recurrent: Count = 64
    trunk: Count = 128
    chunk: Count = 10_000

    @property
    def reader(self) -> PureNet:
        """What reads a sequence of task features."""
        rows, size = self.told_shape
        if rows > 1:
            sequence = gru(size, self.recurrent)
            return PureNet(sequence.init, lambda params, told: sequence.unroll(params, told)[-1])
        row = mlp((size, self.recurrent), last_gain=1.0)
        return PureNet(row.init, lambda params, told: jnp.tanh(row.apply(params, told[0])))

    @property
    def maker(self) -> PureNet:
        """What puts out the Q-network."""
        return hyper_network(self.network, self.recurrent, self.trunk, self.chunk)

    def fresh(self, key: PRNGKey) -> PyTree:
        """What reads, and what makes."""
        key_reader, key_maker = jax.random.split(key)
        return {"reader": self.reader.init(key_reader), "maker": self.maker.init(key_maker)}

    def made(self, params: PyTree, told: Float[Array, "n F"]) -> PyTree:
        """The Q-network that these features call for."""
        return self.maker.apply(params["maker"], self.reader.apply(params["reader"], told))
