"""MAML: an initialisation from which a gradient step in a new task goes far. With FOMAML and Meta-SGD."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from adaptax.core.lifetime import replay
from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree, Transition
from adaptax.fields import Count, Positive
from adaptax.inner.by_gradient import ByGradient
from adaptax.inner.policy_gradient import Adapting, OwnLoss, phase_returns
from adaptax.ops.optimise import clipped_adam, mean_gradient
from adaptax.ops.policy_gradient import clipped_surrogate, standardise


class Meta(NamedTuple):
    """Outer state."""

    params: PyTree  # {"policy": theta, "step_size": alpha where it is learned}
    optimiser: optax.OptState


class MAML(ByGradient):
    r"""Model-agnostic meta-learning: learn where to start, so that one step of policy gradient goes far.

    In a new task the policy starts at $\theta$, acts for a phase in E copies, takes a gradient step on what it lived,
    and begins the next phase: $\phi_0 = \theta$, $\phi_{k+1} = \phi_k - \alpha_k \nabla_\phi L(\phi_k, D_k)$.
    The outer loop follows the gradient of the loss of later phases through all steps, with $\alpha$ = `inner_lr`,
    $\beta$ = `learning_rate` (Adam) and $w$ = `outer_phases`:
    $\theta \leftarrow \theta - \beta \nabla_\theta \sum_T \sum_k w_k L'(\phi_k(\theta), D_k)$.

    Attributes:
        first_order: Ignore second derivatives (FOMAML).
        learn_step_sizes: Learn one step size for each leaf of the policy, of any sign (Meta-SGD).
        outer_phases: Phases that the outer loss weights: the last, all after the first, or all.
        outer_loss: Plain policy gradient, or PPO's clipped surrogate (needed for several epochs).
        epochs: Outer gradient steps for each batch of lives.
        learning_rate: Step size of the outer loop, falling linearly to zero over the training.
        clip: Clipping range of the outer PPO loss.
        max_gradient: Global norm that outer gradients are clipped to.
        inner_loss: Another inner loss in place of L: of the inner rule, the parameters, and a phase.

    References:
        Finn, Abbeel & Levine, 2017, arXiv:1703.03400; the curvature of the inner loss is that of
        Rothfuss et al., 2018, arXiv:1810.06784.

    Differences from the paper: the outer loop is Adam on a policy gradient or on PPO's loss, not TRPO; the inner loss
    is the ratio form, whose second derivative includes how the sampled data depend on $\theta$.
    """

    first_order: bool = False
    learn_step_sizes: bool = False
    outer_phases: Literal["last", "adapted", "all"] = "last"
    outer_loss: Literal["policy_gradient", "ppo"] = "policy_gradient"
    epochs: Count = 1
    learning_rate: Positive = 3e-3
    clip: Positive = 0.2
    max_gradient: Positive = 0.5
    inner_loss: OwnLoss | None = None

    variant = property(lambda self: (self.first_order, self.learn_step_sizes))  # MAML, FOMAML or Meta-SGD

    def init(self, key: PRNGKey) -> Meta:
        """Fresh parameters."""
        policy = self.inner.policy.init(key)
        sizes = jax.tree.map(lambda p: jnp.full(p.shape if p.size == 0 else (), self.inner_lr, float), policy)
        step_size = sizes if self.learn_step_sizes else ()
        params = {"policy": policy, "step_size": step_size}
        return Meta(params, self._optimiser().init(params))

    def start(self, meta: Meta, key: PRNGKey) -> PyTree:
        """Theta."""
        del key
        return meta.params["policy"]

    def adapt(self, meta: Meta, inner: Adapting, data: Transition, key: PRNGKey) -> Adapting:
        """One inner gradient step."""
        del key
        rule = self.inner._replace(loss=self.inner_loss)
        step_size = meta.params["step_size"] if self.learn_step_sizes else self.inner_lr
        return rule.step(inner, data, step_size, self.first_order)

    def outer(self, meta: Meta, life: Lifetime, advantage: Float[Array, "W T E"]) -> Float[Array, ""]:
        r"""Loss of one task: the mean of $L'$ over the last W phases of its life, through the steps that led to them.

        Args:
            meta: Its parameters are what the loss is a function of.
            life: As recorded; its data are constants.
            advantage: Of what was done in the W phases.
        """
        first = life.data.reward.shape[0] - advantage.shape[0]
        judge = lambda inner, data: self.inner.reading(inner).log_prob(inner.params, data)
        log_prob, acted = replay(self, meta, life, judge, first), life.data.extras[first:]
        if self.outer_loss == "ppo":
            return -clipped_surrogate(log_prob, acted, advantage, self.clip)
        return -jnp.mean(jnp.exp(log_prob - acted) * advantage)

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """Outer gradient steps through the replayed inner loops."""
        del key
        phases = lifetimes.data.reward.shape[1]
        first = {"last": phases - 1, "adapted": 1, "all": 0}[self.outer_phases]
        raw = self.inner._replace(standardised=False)
        judged = jax.tree.map(lambda x: x[:, first:], lifetimes.data)
        # one scale for all tasks and phases: where more is at stake, more is to be learned
        advantage = standardise(jax.vmap(jax.vmap(raw.advantages))(judged))

        def loss(params: PyTree, entry: tuple[Lifetime, Array]) -> Array:
            return self.outer(meta._replace(params=params), *entry)

        def epoch(now: Meta, _: None) -> tuple[Meta, Metrics]:
            gradient = mean_gradient(loss, now.params, (lifetimes, advantage))[1]
            change, optimiser = self._optimiser().update(gradient, now.optimiser)
            size = optax.tree.norm(gradient)
            return Meta(optax.apply_updates(now.params, change), optimiser), {"gradient_norm": size}

        meta, metrics = jax.lax.scan(epoch, meta, length=self.epochs)
        return meta, jax.tree.map(jnp.mean, metrics) | phase_returns(lifetimes.data)

    def problems(self) -> list[str]:
        """Several outer steps on one batch need the clipped loss."""
        wrong = super().problems()
        if self.epochs > 1 and self.outer_loss != "ppo":
            wrong.append("epochs above 1 need outer_loss ppo: after one step the plain gradient is off-policy")
        return wrong

    def _optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.max_gradient, self.meta_steps * self.epochs)


def FOMAML(**fields: Any) -> MAML:
    r"""First-order MAML: the outer gradient is taken at the adapted parameters, without second derivatives.

    $\theta \leftarrow \theta - \beta \sum_T \nabla_\phi L'(\phi_K, D_K)$.

    References:
        Finn, Abbeel & Levine, 2017, arXiv:1703.03400, section 5.2.

    Differences from the paper: those of MAML.
    """
    return MAML(**{"first_order": True, **fields})


def MetaSGD(**fields: Any) -> MAML:
    r"""Meta-SGD: MAML that also learns its inner step sizes, one for each leaf of the policy and of any sign.

    $\phi_{k+1} = \phi_k - \alpha \odot \nabla_\phi L(\phi_k, D_k)$, with $\alpha$ learned beside $\theta$.

    References:
        Li, Zhou, Chen & Li, 2017, arXiv:1707.09835.

    Differences from the paper: one step size a leaf (weights or biases of a layer), not one a coordinate.
    """
    return MAML(**{"learn_step_sizes": True, **fields})
