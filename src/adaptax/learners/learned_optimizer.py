"""A learned optimiser for deep Q-learning: trained across tasks, it makes the steps of fresh networks in new ones."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from adaptax.core.lifetime import replay
from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree, Transition
from adaptax.fields import Count, Fraction, Positive
from adaptax.inner.by_td import ByTD, life_returns
from adaptax.inner.learned_optimizer import fresh_optimiser, learned_optimiser
from adaptax.inner.td import TD
from adaptax.ops.optimise import clipped_adam, mean_gradient
from adaptax.ops.returns import discounted_returns, gae, sequences


class Meta(NamedTuple):
    """Outer state; the last two are nothing once it is deployed."""

    params: PyTree  # theta, of the learned optimiser
    optimiser: optax.OptState
    noise: Any  # [pairs, numbers in theta] what each pair has lived with since its birth; nothing without evolution


class LearnedOptimizer(ByTD):
    r"""Deep Q-learning from fresh random weights, with steps that a learned recurrent network makes.

    In place of Adam, $\phi_{u+1} = \phi_u + \Delta_\theta(h_u, \nabla_\phi L(\phi_u))$: each coordinate of $\phi$ has a
    GRU of a few units, all with the same parameters $\theta$, that makes of h a step size and a direction,
    $\Delta = -\alpha\, e^{3 \tanh(s / 3)} (r_{0.9} + c_1 r_0 + c_2 r_{0.99})$ with $(s, c_1, c_2) = W h + b$, where
    $r_\beta$ is a mean of gradients over the root of the mean of their squares ($r_0$: the gradient itself). So
    $\theta$ knows nothing of the network's shape and serves wider ones. Untrained, W and b are 0, and it is Adam with
    step size $\alpha$, `inner_lr`.

    A training life lasts `segments` meta-steps of `phases` phases, and lives are of all ages at any time. $\theta$ is
    trained from such segments; `gradient` says how:

    - `unroll`: through all updates of a segment, of
      $\sum_{k \geq 1} \frac{1}{2} \mathrm{mean}_{t \in D_k} (A_{\phi_k(\theta)}(s_t, a_t) - \hat A_t)^2$: how well does
      the network that entered phase k tell which actions turned out better than others in it? From $D_k$ it had not
      learned. $A_\phi(s, a) = Q_\phi(s, a) - \mathrm{mean}_b Q_\phi(s, b)$, and
      $\hat A_t = G_t - \mathrm{mean}_b Q(s_t, b)$ with the $\lambda$-return
      $G_t = r_t + \gamma ((1 - \lambda) \max_a Q(s_{t+1}, a) + \lambda G_{t+1})$ of what followed, both by the network
      that the segment ended with, and without a gradient. What was earned has a part in G: to be consistent with one's
      own targets is no aim, for where reward is rare, Q = 0 is nearly that. What steps lead to after the segment is not
      counted (truncation), and they become larger than is best in the long run.
    - `pes`: persistent evolution strategies, on what counts in the end: R, the mean over a segment's steps of the
      discounted rewards that followed within it and its episode. Pairs of lives in the same task with the same luck
      live with $\theta \pm \sigma \epsilon$; with $\xi$ the sum of a pair's $\epsilon$ since its birth,
      $\hat g = -\mathrm{mean}_{pairs}\, \xi\, (R_+ - R_-) / (2 \sigma)$. Truncation does not bias it, for what earlier
      segments' noise has led to is counted where it is felt; but it has the noise of what it counts.

    What did not serve as the loss of `unroll`: errors of whole values, which fall with steps so large that the return
    falls too; and the policy gradient of $\phi_k$, which makes steps vanish, for what TD learning learns pays late.

    Attributes:
        tasks: Lives in a meta-step, each in a task of its own; with `pes` an even number, two lives in each task.
        phases: Phases of a segment, through whose updates the gradient goes.
        segments: Meta-steps that a training life lasts.
        units: Units of the recurrent network of a coordinate.
        inner_lr: Step size of the Adam that the training starts from.
        gradient: How the outer gradient is found.
        td_lambda: $\lambda$, for `unroll`.
        sigma: $\sigma$, for `pes`.
        learning_rate: Step size of the outer loop, falling linearly to zero over the training.
        max_gradient: Global norm that outer gradients are clipped to: each life's of `unroll`, and their mean.

    References:
        Andrychowicz et al., 2016, arXiv:1606.04474 (learned optimisers); Metz et al., 2020, arXiv:2009.11243; Lan,
        Mahmood, Yan & Xu, 2023, arXiv:2302.01470 (for reinforcement learning); Vicol, Metz & Sohl-Dickstein, 2021,
        arXiv:2112.13835 (persistent evolution strategies).

    Differences from the paper: the papers' inner loops are supervised or actor-critic, here it is deep Q-learning. The
    network sets step size and direction of Adam and not a whole update, and sees one coordinate at a time.
    """

    tasks: Count = 16
    phases: Count = 3
    segments: Count = 10
    units: Count = 4
    gradient: Literal["unroll", "pes"] = "unroll"
    td_lambda: Fraction = 0.8
    sigma: Positive = 0.1
    learning_rate: Positive = 3e-3
    max_gradient: Positive = 1.0

    @property
    def lifespan(self) -> int:  # type: ignore[override]
        """Lives outlast a meta-step."""
        return self.segments

    @property
    def twins(self) -> int:  # type: ignore[override]
        """Evolution lives each task twice."""
        return 2 if self.gradient == "pes" else 1

    def problems(self) -> list[str]:
        """A network is judged by a phase after the first."""
        wrong = super().problems()
        if self.gradient == "unroll" and self.phases < 2:
            wrong.append("phases is 1; gradient unroll judges by the phases after the first: give it 2 or more")
        return wrong

    def init(self, key: PRNGKey) -> Meta:
        """An optimiser that is Adam."""
        params = fresh_optimiser(key, self.units)
        pes = self.gradient == "pes"
        noise = jnp.zeros((self.tasks // 2, ravel_pytree(params)[0].size)) if pes else ()
        return Meta(params, self._optimiser().init(params), noise)

    def deployed(self, meta: Meta) -> Meta:
        """The learned optimiser alone."""
        return Meta(meta.params, (), ())

    def start(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> PyTree:
        """Fresh random weights."""
        del meta, descriptor
        return self.network.init(key)

    def rule(self, meta: Meta) -> TD:
        """Deep Q-learning with the learned optimiser."""
        return self.inner._replace(optimiser=learned_optimiser(meta.params, self.inner_lr))

    def propose(self, meta: Meta, key: PRNGKey, n: int) -> Meta | None:
        """Evolution: theta with noise, and with the opposite noise."""
        if self.gradient == "unroll":
            return None
        theta, unravel = ravel_pytree(meta.params)
        noise = self._noise(key, theta)
        both = jnp.stack([noise, -noise], 1).reshape(n, -1)
        return jax.vmap(lambda epsilon: Meta(unravel(theta + self.sigma * epsilon), (), ()))(both)

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """One step of the outer loop."""
        if self.gradient == "pes":
            gradient, noise, metrics = self.evolved(meta, lifetimes, key)
        else:
            (gradient, metrics), noise = self.unrolled(meta, lifetimes), ()
        metrics |= {"gradient_norm": optax.tree.norm(gradient)}
        change, optimiser = self._optimiser().update(gradient, meta.optimiser)
        params = optax.apply_updates(meta.params, change)
        return Meta(params, optimiser, noise), metrics | life_returns(lifetimes.data)

    def unrolled(self, meta: Meta, lifetimes: Lifetime) -> tuple[PyTree, Metrics]:
        """The gradient through the updates of the segments, and the loss."""
        loss, gradient = mean_gradient(self.outer, meta.params, lifetimes, self.max_gradient)
        return gradient, {"outer_loss": loss}

    def outer(self, params: PyTree, life: Lifetime) -> Float[Array, ""]:
        """Loss of one segment, as a function of theta."""
        # they take the place of what `act` recorded, which neither `learn` nor `adapt` reads
        told = life._replace(data=life.data._replace(extras=self.followed(life)))
        judge = lambda phi, data: self.judged(phi.params, data, data.extras)
        return jnp.sum(replay(self, Meta(params, (), ()), told, judge, first=1))

    def judged(self, phi: PyTree, data: Transition, advantage: Float[Array, "T E"]) -> Float[Array, ""]:
        """Loss of a network that entered a phase."""
        values = self._values(phi, data.step.observation)
        taken = jnp.take_along_axis(values, data.action[..., None], 2)[..., 0]
        return 0.5 * jnp.mean((taken - jnp.mean(values, 2) - advantage) ** 2)

    def followed(self, life: Lifetime) -> Float[Array, "K T E"]:
        r"""$\hat A_t$: what followed each step of a segment, beside what the network that it ended with expects."""
        data = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), life.data)  # one phase after the other
        phi = life.last.inner.params
        now, following = self._values(phi, data.step.observation), self._values(phi, data.next_observation)
        best, over = jnp.max(now, 2), data.terminated | data.truncated
        discount = self.discount * (1.0 - data.terminated.astype(float))
        follow = 1.0 - over.astype(float)
        gain = best + gae(data.reward, discount, best, jnp.max(following, 2), self.td_lambda, follow)
        return (gain - jnp.mean(now, 2)).reshape(life.data.reward.shape)

    def _values(self, phi: PyTree, seen: Array) -> Float[Array, "T E A"]:
        return jax.vmap(jax.vmap(lambda observation: self.inner.values(phi, observation)))(seen)

    def evolved(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[PyTree, Array, Metrics]:
        """The estimate of persistent evolution strategies, and the sum of each pair's noise since its birth."""
        theta, unravel = ravel_pytree(meta.params)
        noise = jnp.where(lifetimes.fresh[::2, None], 0.0, meta.noise) + self._noise(key, theta)
        over = sequences(lifetimes.data.terminated | lifetimes.data.truncated).T
        discount = self.discount * (1.0 - over.astype(float))
        earned = jnp.mean(discounted_returns(sequences(lifetimes.data.reward).T, discount), 0)
        pairs = jnp.mean(earned.reshape(self.tasks // 2, 2, -1), 2)
        slope = (pairs[:, 1] - pairs[:, 0]) / (2.0 * self.sigma)
        return unravel(jnp.mean(slope[:, None] * noise, 0)), noise, {"followed": jnp.mean(earned)}

    def _noise(self, key: PRNGKey, theta: Float[Array, " P"]) -> Float[Array, "pairs P"]:
        return jax.random.normal(key, (self.tasks // 2, theta.size), theta.dtype)

    def _optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.max_gradient, self.meta_steps)
