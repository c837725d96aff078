"""Pools of models: what each member makes of a life, who is trained on it, and what predicts who will fit."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from adaptax.core.types import PRNGKey, PyTree
from adaptax.inner.policy_gradient import linear_baseline, time_features
from adaptax.inner.replay import Experience
from adaptax.inner.td import huber_loss
from adaptax.nn.net import PureNet, mlp
from adaptax.nn.recurrent import Recurrent, gru
from adaptax.ops.distributions import Categorical
from adaptax.ops.policy_gradient import standardise
from adaptax.ops.returns import discounted_returns
from adaptax.ops.spaces import Space

LARGEST_WEIGHT = 20.0  # as in Peng et al., 2019, arXiv:1910.00177
BALANCING = 10  # rounds; what is left of imbalance then is a few per cent


Loss = Literal["return", "td"]


class QNetworks(NamedTuple):
    r"""Members that say what actions are worth, $Q_i(s, \cdot)$.

    Attributes:
        network: One member.
        observation: How observations are encoded.
        discount: $\gamma$.
        trace: $\lambda$ of the targets that members are trained to.
        loss: What a member is judged by: the return that followed, or its TD error.
        huber: Error from which on the loss that members are trained by grows in proportion to it.
    """

    network: PureNet
    observation: Space
    discount: Array | float
    trace: Array | float
    loss: Loss
    huber: Array | float = 1.0

    def action(self, outputs: Float[Array, " A"], key: PRNGKey, explore: bool) -> Int[Array, ""]:
        """The best action."""
        del key, explore
        return jnp.argmax(outputs).astype(jnp.int32)

    def judged(
        self, params: PyTree, slow: PyTree, life: Experience, weight: Float[Array, "L E"]
    ) -> tuple[Float[Array, "L E"], Float[Array, "L E"]]:
        r"""What one member is charged for each step of a life, and what it is to be trained to there.

        `return` charges $(Q_i(s_t, a_t) - G_t)^2$. G is what really followed to the end of the episode; where a
        time limit or the end of the record cut that off, the member's own value stands for the rest. `td` charges the
        squared TD error. Trained is to Watkins' $Q(\lambda)$: what followed counts as long as the member would have
        acted so itself, and a slow copy of the member says what its best action is worth.
        """
        del weight
        value, after = (
            every(self.network, params, self.observation, x) for x in (life.observation, life.next_observation)
        )
        agrees = (jnp.argmax(value, -1).astype(life.action.dtype) == life.action).astype(value.dtype)
        goes_on, chosen = same_episode(life), jnp.argmax(after, -1)
        judge = taken(every(self.network, slow, self.observation, life.next_observation), chosen)
        discount = self.discount * (1.0 - life.terminated.astype(value.dtype))

        def followed(share: Array, best: Array) -> Float[Array, "L E"]:
            """Targets that go by what was lived to this share, by a value to the rest."""
            return discounted_returns(life.reward + discount * (1.0 - share) * best, discount * share)

        watkins, best = followed(self.trace * goes_on * jnp.roll(agrees, -1, 0), judge), jnp.max(after, -1)
        error = taken(value, life.action) - (
            followed(goes_on, best) if self.loss == "return" else life.reward + discount * best
        )
        return error**2, watkins

    def training(self, params: PyTree, life: Experience, target: Float[Array, "L E"]) -> Float[Array, ""]:
        """Huber's loss of one member on a life, with gradients of at most one."""
        value = taken(every(self.network, params, self.observation, life.observation), life.action)
        return jnp.mean(huber_loss(value - target, self.huber)) / self.huber


class Policies(NamedTuple):
    r"""Members that act, $\pi_i(\cdot \mid s)$, with softmax.

    Attributes:
        network: One member; it puts out logits.
        observation: How observations are encoded.
    """

    network: PureNet
    observation: Space

    def action(self, outputs: Float[Array, " A"], key: PRNGKey, explore: bool) -> Int[Array, ""]:
        """An action of the policy, or its likeliest one."""
        return Categorical(outputs).sample(key) if explore else Categorical(outputs).mode()

    def judged(
        self, params: PyTree, slow: PyTree, life: Experience, weight: Float[Array, "L E"]
    ) -> tuple[Float[Array, "L E"], Float[Array, "L E"]]:
        r"""What one member is charged for each step, $-w_t \log \pi_i(a_t \mid s_t)$, and the weights to train with."""
        del slow
        return -weight * self._log_prob(params, life), weight

    def training(self, params: PyTree, life: Experience, target: Float[Array, "L E"]) -> Float[Array, ""]:
        """Minus the weighted log-likelihood of what was done."""
        return -jnp.mean(target * self._log_prob(params, life))

    def _log_prob(self, params: PyTree, life: Experience) -> Float[Array, "L E"]:
        logits = every(self.network, params, self.observation, life.observation)
        return taken(jax.nn.log_softmax(logits), life.action)


Pool = QNetworks | Policies


def every(network: PureNet, params: PyTree, space: Space, observation: Array) -> Float[Array, "L E A"]:
    """What a network says to each observation of a life."""
    return jax.vmap(jax.vmap(lambda x: network.apply(params, space.encode(x))))(observation)


def taken(outputs: Float[Array, "L E A"], action: Int[Array, "L E"]) -> Float[Array, "L E"]:
    """Of what was done."""
    return jnp.take_along_axis(outputs, action[..., None], -1)[..., 0]


def same_episode(life: Experience) -> Float[Array, "L E"]:
    """One where the next step of the record is of the same episode."""
    return (1.0 - life.over.astype(life.reward.dtype)).at[-1].set(0.0)


def weights(space: Space, life: Experience, discount: Array | float, sharpness: Array | float) -> Float[Array, "L E"]:
    r"""How much each step counts by what it earned: $w_t \propto e^{\kappa A_t}$, with mean one over the life.

    $A_t$ is the return to the end of the episode or record beyond what a linear baseline expects, in standard
    deviations within the life. The baseline knows the time, so returns are not bootstrapped.
    """
    features = jax.vmap(jax.vmap(space.encode))(life.observation)
    first = jnp.roll(life.over, 1, 0).at[0].set(True)
    gain = discounted_returns(life.reward, discount * same_episode(life))
    known = time_features(features, first)
    expected = linear_baseline(known.reshape(-1, known.shape[-1]), gain.reshape(-1)).reshape(gain.shape)
    weight = jnp.minimum(jnp.exp(sharpness * standardise(gain - expected)), LARGEST_WEIGHT)
    return weight / jnp.mean(weight)


def shares(
    losses: Float[Array, "B n"], temperature: Array | float, losers: Array | float, balanced: bool
) -> Float[Array, "B n"]:
    r"""Who is trained on which life: $(1 - \epsilon)\,\mathrm{softmax}_i(-L_i / \tau) + \epsilon / n$.

    Multiple-choice learning, softened: the member of the least loss gets most of the life. Losses count in standard
    deviations of how they differ between members. Balanced, they are offset first, so that all members get equal parts
    of the lives in sum (Sinkhorn's iteration).

    Args:
        losses: $L_i$ of each life.
        temperature: $\tau$.
        losers: $\epsilon$.
        balanced: Whether no member may have more lives than another.
    """
    apart = losses - jnp.mean(losses, 1, keepdims=True)
    score = -apart / (temperature * jnp.sqrt(jnp.mean(apart**2) + 1e-12))
    for _ in range(BALANCING if balanced else 0):
        score = jax.nn.log_softmax(jax.nn.log_softmax(score, 0), 1)
    return (1.0 - losers) * jax.nn.softmax(score, 1) + losers / losses.shape[1]


def loss_predictor(seen: int, inputs: int, recurrent: int, hidden: int, members: int) -> Recurrent:
    """A meta-model: from the state and the past it predicts the losses of all members.

    Args:
        seen: Numbers of an observation.
        inputs: Numbers of an input, of which the observation is the first.
        recurrent: Units of the GRU that reads the inputs.
        hidden: Units in the second layer of what reads observation and GRU; the first has twice as many.
        members: Losses to predict.
    """
    memory = gru(inputs, recurrent)
    head = mlp((seen + recurrent, 2 * hidden, hidden, members), jax.nn.relu, last_gain=0.1)

    def init(key: Array) -> PyTree:
        key_memory, key_head = jax.random.split(key)
        return {"memory": memory.init(key_memory), "head": head.init(key_head)}

    def predicted(params: PyTree, x: Array, read: Array) -> Float[Array, " n"]:
        return head.apply(params["head"], jnp.concatenate([x[:seen], read]))

    def step(params: PyTree, state: PyTree, x: Array) -> tuple[PyTree, Float[Array, " n"]]:
        state, read = memory.step(params["memory"], state, x)
        return state, predicted(params, x, read)

    def unroll(params: PyTree, xs: Array) -> Float[Array, "T n"]:
        return jax.vmap(predicted, (None, 0, 0))(params, xs, memory.unroll(params["memory"], xs))

    return Recurrent(init, lambda params: memory.begin(params["memory"]), step, unroll, members)
