"""Deep Q-learning as a pure inner rule: a replay, a target network, and an update every few steps of a life."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from adaptax.core.lifetime import where
from adaptax.core.types import PRNGKey, PyTree, Step, Transition
from adaptax.inner.replay import Drawn, Replay, draw, empty, write
from adaptax.nn.net import PureNet
from adaptax.ops.spaces import ActionSpace, Space


class Learning(NamedTuple):
    """A Q-network on its way: the inner state of deep Q-learning."""

    params: PyTree  # phi
    target: PyTree  # phi-
    optimiser: optax.OptState
    updates: Int[Array, ""]
    replay: Replay
    told: Any = ()  # what is known of the task, where a life finds that out


class TD(NamedTuple):
    r"""Deep Q-learning: $\phi \leftarrow \phi - \alpha \nabla_\phi\, \mathrm{mean}\, H(Q_\phi(s, a) - y)$.

    H is Huber's loss, and $y = \sum_{i<n} \gamma^i r_{t+i} + \gamma^n Q_{\phi^-}(s_{t+n}, a^*)$ with the best action
    $a^* = \arg\max_a Q_\phi(s_{t+n}, a)$ of the network itself (double) or of its target. Sums end with the episode.
    Only where the world ended it (`terminated`) nothing is to come; where time was up, the true successor's value is.

    Attributes:
        network: $Q_\phi(s, \cdot)$ of encoded observations.
        observation: How observations are encoded.
        action: The actions, discrete.
        optimiser: What turns gradients into steps, with $\alpha$ in it.
        discount: $\gamma$.
        n_step: n.
        double: Let the network choose the action that its target judges (van Hasselt et al., 2015, arXiv:1509.06461).
        batch: Experiences behind one gradient.
        capacity: Steps of each copy that are kept.
        warm_up: Steps lived before the first update.
        target_every: Updates between two moves of the target.
        polyak: Fraction of the way to the network that such a move goes; 1 goes all the way.
        huber: Error from which on H grows in proportion to it, and no faster.
        random_steps: Steps at birth that are random, and from which nothing is learned before they are over.
        epsilon: Share of random actions, after these and at last.
        epsilon_steps: Steps over which it falls from the one to the other.
        prioritised: Draw more often what was surprising (Schaul et al., 2015, arXiv:1511.05952).
        priorities: Exponents: of the error in how often experience is drawn, and of how far weights make up for that.
    """

    network: PureNet
    observation: Space
    action: ActionSpace
    optimiser: optax.GradientTransformation
    discount: Array | float = 0.99
    n_step: int = 1
    double: bool = True
    batch: int = 32
    capacity: int = 10_000
    warm_up: Array | int = 1000
    target_every: Array | int = 100
    polyak: Array | float = 1.0
    huber: Array | float = 1.0
    random_steps: int = 0
    epsilon: tuple[Array | float, Array | float] = (1.0, 0.05)
    epsilon_steps: Array | float = 5000.0
    prioritised: bool = False
    priorities: tuple[Array | float, Array | float] = (0.6, 0.4)

    def begin(self, params: PyTree, copies: int) -> Learning:
        """The inner state at birth."""
        return self.again(params, empty(self.observation, self.action, self.capacity, copies, self.prioritised))

    def again(self, params: PyTree, replay: Any) -> Learning:
        """No update is made yet of this network; what was lived is known."""
        return Learning(params, params, self.optimiser.init(params), jnp.zeros((), jnp.int32), replay)

    def values(self, params: PyTree, observation: Array) -> Float[Array, " A"]:
        r"""$Q_\phi(s, \cdot)$."""
        return self.network.apply(params, self.observation.encode(observation))

    def lived(self, now: Learning) -> Int[Array, ""]:
        """Steps lived, in all copies."""
        return now.replay.written * now.replay.kept.reward.shape[1]

    def explored(self, lived: Int[Array, ""]) -> Float[Array, ""]:
        """Share of random actions after so many steps, in all copies."""
        (first, last), learning = self.epsilon, lived - self.random_steps
        share = first + (last - first) * jnp.minimum(learning.astype(float) / self.epsilon_steps, 1.0)
        return jnp.where(learning < 0, 1.0, share)

    def act(self, params: PyTree, step: Step, key: PRNGKey, share: Float[Array, ""] | None) -> Int[Array, ""]:
        """The best action or, with probability `share`, any."""
        best = jnp.argmax(self.values(params, step.observation)).astype(jnp.int32)
        return best if share is None else or_any(best, self.action.size, share, key)

    def targets(self, params: PyTree, target: PyTree, drawn: Drawn) -> Float[Array, " N"]:
        """What values should be: y above."""
        each = lambda phi: jax.vmap(self.values, (None, 0))(phi, drawn.next_observation)
        judged = each(target)
        chosen = jnp.argmax(each(params) if self.double else judged, 1)
        value = jnp.take_along_axis(judged, chosen[:, None], 1)[:, 0]
        return drawn.gain + drawn.discount * value

    def errors(self, params: PyTree, target: PyTree, drawn: Drawn) -> Float[Array, " N"]:
        r"""$Q_\phi(s, a) - y$."""
        # in the targets `params` but chooses: no gradient comes that way
        return self.off(params, drawn, self.targets(params, target, drawn))

    def off(self, params: PyTree, drawn: Drawn, targets: Float[Array, " N"]) -> Float[Array, " N"]:
        """How far values are off what they should be."""
        values = jax.vmap(self.values, (None, 0))(params, drawn.observation)
        return jnp.take_along_axis(values, drawn.action[:, None], 1)[:, 0] - targets

    def loss(self, params: PyTree, target: PyTree, drawn: Drawn) -> tuple[Float[Array, ""], Float[Array, " N"]]:
        """Huber's loss, weighted; and the errors."""
        errors = self.errors(params, target, drawn)
        return self.weighed(drawn, errors), errors

    def weighed(self, drawn: Drawn, errors: Float[Array, " N"]) -> Float[Array, ""]:
        """Huber's loss of errors, each with the weight of what it is of."""
        return jnp.mean(drawn.weight * huber_loss(errors, self.huber))

    def learn(self, now: Learning, data: Transition, key: PRNGKey) -> Learning:
        """Keeps what was lived, and makes one update from what is kept."""
        now = now._replace(replay=write(now.replay, data))
        drawn = draw(now.replay, key, self.batch, self.n_step, self.discount, self.priorities[1])
        gradient, errors = jax.grad(self.loss, has_aux=True)(now.params, now.target, drawn)
        change, optimiser = self.optimiser.update(gradient, now.optimiser, now.params)
        updates, params = now.updates + 1, optax.apply_updates(now.params, change)
        follows = lambda old, new: jnp.where(
            updates % self.target_every == 0, (1.0 - self.polyak) * old + self.polyak * new, old
        )
        after = now._replace(
            params=params, target=jax.tree.map(follows, now.target, params), optimiser=optimiser, updates=updates
        )
        ready = (self.lived(now) >= self.warm_up) & (self.lived(now) > self.random_steps)
        ready &= now.replay.written >= self.n_step
        aside = dict(replay=(), told=())
        return where(ready, after._replace(**aside), now._replace(**aside))._replace(
            replay=self._judged(now.replay, drawn, errors), told=now.told
        )

    def _judged(self, replay: Replay, drawn: Drawn, errors: Float[Array, " N"]) -> Replay:
        """With the priorities of what was looked at."""
        if replay.priority is None:
            return replay
        priority = (jnp.abs(jax.lax.stop_gradient(errors)) + 1e-3) ** self.priorities[0]
        return replay._replace(priority=replay.priority.at[drawn.place, drawn.copy].set(priority))


def or_any(action: Int[Array, ""], actions: int, share: Float[Array, ""], key: PRNGKey) -> Int[Array, ""]:
    """This action or, with probability `share`, any."""
    chance, which = jax.random.uniform(key, (2,))
    anything = jnp.minimum((which * actions).astype(jnp.int32), actions - 1)
    return jnp.where(chance < share, anything, action)


def huber_loss(errors: Float[Array, "..."], huber: Array | float) -> Float[Array, "..."]:
    """Half the square of an error up to `huber`, and from there on in proportion to it (Huber, 1964)."""
    # not optax's: where `huber` is large, its gradient is a difference of large numbers
    kept = jnp.clip(errors, -huber, huber)
    return kept * (errors - 0.5 * kept)
