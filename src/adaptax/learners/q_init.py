"""A learned initialisation of a Q-network: MAML, first-order MAML and Reptile over TD steps."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree
from adaptax.fields import Count, Fraction, Positive
from adaptax.inner.by_td import ByTD, life_returns
from adaptax.inner.policy_gradient import sgd_step
from adaptax.inner.replay import Drawn, draw
from adaptax.inner.td import Learning
from adaptax.ops.optimise import clipped_adam, mean_gradient


class Meta(NamedTuple):
    """Outer state."""

    params: PyTree  # theta
    optimiser: optax.OptState
    updates: Int[Array, ""]


class QInit(ByTD):
    r"""Learn where deep Q-learning starts, so that few TD steps in a new task go far.

    A life begins with $\phi_0 = \theta$ and learns by TD to its end. From what it kept, batches $D_1 \dots D_k$ are
    drawn for steps $\phi_j = \phi_{j-1} - \alpha \nabla_\phi L(\phi_{j-1}, D_j)$ from $\theta$ again, and one more,
    $D'$, to judge them:

    - `maml`: $\theta \leftarrow \theta - \beta \nabla_\theta \sum_T L'(\phi_k(\theta), D')$, through the steps;
    - `fomaml`: the same, with second derivatives left out;
    - `reptile`: $\theta \leftarrow \theta + \epsilon\, \frac{1}{B} \sum_T (\phi_{end} - \theta)$: to where lives got.

    L and L' are Huber losses of TD errors whose targets come from the network that the life ended with: what the task's
    values are is known better at its end than at any step on the way.

    Attributes:
        method: How the start is trained: one of these.
        td_steps: k, steps of TD learning from a start before it is judged.
        td_lr: $\alpha$, the size of these steps.
        learning_rate: $\beta$, the step size of Adam, falling linearly to zero over the training.
        rate: $\epsilon$ of Reptile, falling in the same way.
        max_gradient: Global norm that outer gradients are clipped to.

    References:
        Finn, Abbeel & Levine, 2017, arXiv:1703.03400; Nichol, Achiam & Schulman, 2018, arXiv:1803.02999.

    Differences from the paper: the papers adapt policies and supervised learners; here the inner loop is TD learning.
    The outer gradient goes through plain steps on what a life kept, not through the many steps of Adam that it made.
    """

    method: Literal["maml", "fomaml", "reptile"] = "maml"
    td_steps: Count = 5
    td_lr: Positive = 0.1
    learning_rate: Positive = 1e-3
    rate: Fraction = 0.5
    max_gradient: Positive = 10.0

    def init(self, key: PRNGKey) -> Meta:
        """Fresh parameters."""
        params = self.network.init(key)
        return Meta(params, self._optimiser().init(params), jnp.zeros((), jnp.int32))

    def start(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> PyTree:
        """Theta."""
        del key, descriptor
        return meta.params

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """One step of the outer loop."""
        now, last = meta.updates + 1, lifetimes.last.inner
        if self.method == "reptile":
            left = self.rate * jnp.maximum(1.0 - meta.updates.astype(float) / self.meta_steps, 0.0)
            params = jax.tree.map(lambda theta, phi: theta + left * (phi.mean(0) - theta), meta.params, last.params)
            return Meta(params, meta.optimiser, now), life_returns(lifetimes.data)
        given = jax.vmap(self.given)(last, jax.random.split(key, self.tasks))
        loss, gradient = mean_gradient(self.outer, meta.params, given)
        change, optimiser = self._optimiser().update(gradient, meta.optimiser)
        params = optax.apply_updates(meta.params, change)
        return Meta(params, optimiser, now), life_returns(lifetimes.data) | {"td_loss": loss}

    def given(self, last: Learning, key: PRNGKey) -> tuple[Drawn, Float[Array, "batches N"]]:
        """The k + 1 batches of one life, leaves `[k + 1, N, ...]`, and their targets by the network it ended with."""
        one = lambda key: draw(last.replay, key, self.batch, self.n_step, self.discount, self.correction)
        drawn = jax.vmap(one)(jax.random.split(key, self.td_steps + 1))
        return drawn, jax.vmap(lambda batch: self.inner.targets(last.params, last.target, batch))(drawn)

    def outer(self, params: PyTree, given: tuple[Drawn, Float[Array, "batches N"]]) -> Float[Array, ""]:
        """L' of one task, as a function of theta."""

        def error(phi: PyTree, batch: tuple[Drawn, Array]) -> Float[Array, ""]:
            drawn, targets = batch
            return self.inner.weighed(drawn, self.inner.off(phi, drawn, targets))

        phi = params
        for k in range(self.td_steps):
            batch = jax.tree.map(lambda x: x[k], given)  # noqa: B023
            phi = sgd_step(error, phi, batch, self.td_lr, first_order=self.method == "fomaml")
        return error(phi, jax.tree.map(lambda x: x[-1], given))

    def _optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.max_gradient, self.meta_steps)
