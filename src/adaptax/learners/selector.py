"""Selector: a pool of inner models, and a meta-model that says which of them fits this task."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.lifetime import where
from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree, Schedule, Step, Transition
from adaptax.fields import Count, Fraction, NonNegative, Positive
from adaptax.inner.by_td import ByTD, life_returns, more_at_first
from adaptax.inner.pools import Loss, Policies, Pool, QNetworks, loss_predictor, shares, weights
from adaptax.inner.replay import experience
from adaptax.inner.td import Learning, or_any
from adaptax.nn.net import mlp
from adaptax.nn.recurrent import Recurrent
from adaptax.ops.optimise import clipped_adam, minibatch_epochs
from adaptax.ops.spaces import Discrete


class Meta(NamedTuple):
    """Outer state."""

    params: PyTree  # {"pool": leaves [n, ...], "meta_model"}
    optimiser: optax.OptState
    slow: PyTree  # a copy of the pool that follows slowly
    updates: Int[Array, ""]  # meta-steps made


class Carry(NamedTuple):
    """What one copy takes from step to step."""

    memory: PyTree  # of the life so far
    held: Int[Array, ""]  # the member that acts in this episode whatever is predicted; -1 is none
    lived: Int[Array, ""]  # steps


class Acted(NamedTuple):
    """What acting leaves."""

    predicted: Float[Array, "... n"]
    member: Int[Array, "..."]


class Inner(NamedTuple):
    """A life with a pool of Q-networks."""

    learning: Learning  # what deep Q-learning makes of the member that it goes on from
    predicted: Float[Array, " n"]  # losses, summed over the life


class Batch(NamedTuple):
    """What the outer loop learns from, one row a life."""

    life: Transition  # [B, L, E, ...]
    losses: Float[Array, "B n L E"]  # in units of their mean
    target: Float[Array, "B n L E"]
    share: Float[Array, "B n"]


class Selector(ByTD):
    r"""A pool of models and a meta-model that predicts the loss of each; the one of the least predicted loss acts.

    The meta-model reads the state and, through a recurrent network, the life so far: $h_t = \mathrm{GRU}(h_{t-1},
    [s_t, a_{t-1}, r_{t-1}, first_t])$, $\hat\ell_t = f(s_t, h_t)$, and $i_t = \arg\min_i \hat\ell_{t,i}$. It is trained
    by squared error on the losses that came about, which all members have in each life, whoever acted.

    What a member is charged:

    - `return`, of a pool of Q-networks: $\ell_{t,i} = (Q_i(s_t, a_t) - G_t)^2$, G being the return that really
      followed; where a time limit or the record's end cut it off, the member's own value stands for the rest.
    - `td`, of a pool of Q-networks: $\ell_{t,i} = (Q_i(s_t, a_t) - r_t - \gamma \max_a Q_i(s_{t+1}, a))^2$. Where
      rewards are sparse it is least for a member that expects nothing, which then acts. Where every step is rewarded it
      is the better charge, for it does not ask who acted: while a member acts that does not know this task, returns
      are low, and the member that does is further off than one that expects little.
    - a pool of policies: $-w_t \log \pi_i(a_t \mid s_t)$, where $w_t \propto e^{\kappa A_t}$ weighs by what was earned.

    Members become different by multiple-choice learning: with $L_i$ the mean loss over a life, member i is trained on
    it with the share $\mathrm{softmax}_i(-L_i / \tau)$, so that it owns tasks, not states. Q-networks are trained to
    Watkins' $Q(\lambda)$ under a slow copy of each, by Huber's loss in units of `huber`; policies by weighted
    log-likelihood.

    A life of use goes on by deep Q-learning: when `warm_up` steps have been lived, from the Q-network whose predicted
    losses were least in sum. Lives of the training only act. With policies the choice of a member is all.

    Attributes:
        tasks: Tasks in a meta-step.
        phases: Phases of a training life, in which nothing is learned but who acts.
        pool: What the members are.
        members: n, models in the pool.
        loss: What Q-networks are charged for; policies are charged for their likelihood, whatever it says.
        weighting: $\kappa$ of policies: how much more it weighs what earned more; 0 imitates all alike.
        temperature: $\tau$, how little the member of the least loss is preferred in training, in standard deviations of
            how losses differ between members.
        losers: Share of each life that goes to all members alike, so that none is left without.
        balanced: Offset losses so that all members get equal parts of the lives in sum.
        trace: $\lambda$ of the targets of Q-networks in the outer loop.
        outer_polyak: How far the copy that judges the next step follows in a meta-step.
        wander: Share of episodes in training that a random member acts in.
        hidden: Units in each of the two layers of a Q-network; policies and the meta-model have twice as many in the
            first.
        recurrent: Units of the recurrent network.
        epochs: Passes over the lives of a meta-step.
        minibatches: Parts of a pass.
        learning_rate: Step size of Adam in the outer loop, falling linearly to zero over the training.
        max_gradient: Global norm that outer gradients are clipped to.
        choosing_epsilon: Share of random actions while members are chosen. Many of them mislead: of returns that they
            lower, a member that expects little has the least error.
        random_until: Part of the training over which the share of random actions falls from 1 to `choosing_epsilon`.
        epsilon: Share of random actions when TD learning begins.

    References:
        Guzman-Rivera, Batra & Kohli, 2012, "Multiple Choice Learning", NIPS; Lee et al., 2016, arXiv:1606.07839 (the
        same for deep networks); Narendra & Balakrishnan, 1997, "Adaptive control using multiple models", IEEE
        Transactions on Automatic Control 42 (the model of the least error acts); Peters & Schaal, 2007,
        "Reinforcement learning by reward-weighted regression", ICML; Peng et al., 2019, arXiv:1910.00177 (weights).

    Differences from the paper: there members are classifiers and an oracle chooses, or models of a plant with errors
    that are measured, not predicted; the share of losers and the balance between members are ours.
    """

    phases: Count = 4
    pool: Literal["q-networks", "policies"] = "q-networks"
    members: Count = 4
    loss: Loss = "return"
    weighting: NonNegative = 1.0
    temperature: Positive = 0.1
    losers: Fraction = 0.05
    balanced: bool = True
    trace: Fraction = 0.8
    outer_polyak: Fraction = 0.1
    wander: Fraction = 0.25
    recurrent: Count = 64
    epochs: Count = 2
    minibatches: Count = 4
    learning_rate: Positive = 1e-3
    max_gradient: Positive = 10.0
    choosing_epsilon: Fraction = 0.05
    random_until: Fraction = 0.5
    epsilon: Fraction = 0.3

    learns_in_training = False

    @property
    def models(self) -> Pool:
        """What one member is, and how it is judged."""
        spec = self.bound
        if self.pool == "q-networks":
            return QNetworks(self.network, spec.observation, self.discount, self.trace, self.loss, self.huber)
        return Policies(mlp((spec.observation.size, 2 * self.hidden, self.hidden, spec.action.size)), spec.observation)

    @property
    def meta_model(self) -> Recurrent:
        """What reads a life and predicts the losses of all members."""
        spec = self.bound
        inputs = spec.observation.size + spec.action.size + 2
        return loss_predictor(spec.observation.size, inputs, self.recurrent, self.hidden, self.members)

    def init(self, key: PRNGKey) -> Meta:
        """Fresh parameters, other ones for each member."""
        key_pool, key_model = jax.random.split(key)
        params = {
            "pool": jax.vmap(self.models.network.init)(jax.random.split(key_pool, self.members)),
            "meta_model": self.meta_model.init(key_model),
        }
        return Meta(params, self._optimiser().init(params), params["pool"], jnp.zeros((), jnp.int32))

    def deployed(self, meta: Meta) -> Meta:
        """Without what only training needs, and with the training over: nothing random is left of it."""
        return meta._replace(optimiser=(), slow=(), updates=jnp.full_like(meta.updates, 2**30))

    def learns_every(self, schedule: Schedule) -> int:
        """Steps between two updates; policies make none."""
        return super().learns_every(schedule) if self.pool == "q-networks" else 0

    def problems(self) -> list[str]:
        """There must be a choice, among models that can be had."""
        if self.pool == "q-networks":
            wrong = super().problems()
        else:
            continuous = self.spec is not None and not isinstance(self.spec.action, Discrete)
            said = "policies with softmax choose among discrete actions, and this environment's are continuous"
            wrong = [said] if continuous else []
        if self.members < 2:
            wrong.append(f"members is {self.members}; a pool needs 2 or more, or there is nothing to choose")
        if self.tasks % self.minibatches:
            wrong.append(f"minibatches is {self.minibatches}; it must divide the {self.tasks} tasks of a meta-step")
        return wrong

    def start(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> PyTree:
        """Any member: another takes its place before the first update."""
        del key, descriptor
        return member_of(meta.params["pool"], 0)

    def begin(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> tuple[PyTree, Carry]:
        """An empty memory and, where the pool is of Q-networks, an empty replay."""
        none = jnp.full((), -1, jnp.int32)
        carry = Carry(self.meta_model.begin(meta.params["meta_model"]), none, jnp.zeros((), jnp.int32))
        if self.pool == "policies":
            return (), carry
        return Inner(self.inner.begin(self.start(meta, key, descriptor), self.copies), jnp.zeros(self.members)), carry

    def act(
        self, meta: Meta, inner: PyTree, carry: Carry, step: Step, key: PRNGKey, explore: bool
    ) -> tuple[Array, Carry, Acted]:
        """The action of the member of the least predicted loss; once TD learning goes on from one, of that."""
        key_member, key_action, key_random = jax.random.split(key, 3)
        memory, predicted = self.meta_model.step(meta.params["meta_model"], carry.memory, self.inputs(step))
        held = jnp.where(step.first, self._held(meta, key_member), carry.held)
        member = jnp.argmin(predicted).astype(jnp.int32)
        member = jnp.where(held >= 0, held, member) if explore else member
        observation = self.bound.observation.encode(step.observation)
        outputs = jax.vmap(self.models.network.apply, (0, None))(meta.params["pool"], observation)[member]
        learning = jnp.asarray(False)
        if self.pool == "q-networks":
            learning = inner.learning.updates > 0
            outputs = jnp.where(learning, self.network.apply(inner.learning.params, observation), outputs)
        action = self.models.action(outputs, key_action, explore)
        if explore:
            share = self.explored_share(meta, carry.lived * self.copies, learning)
            action = or_any(action, self.bound.action.size, share, key_random)
        return action, Carry(memory, held, carry.lived + 1), Acted(predicted, member)

    def explored_share(
        self, meta: Meta, lived: Int[Array, ""], learning: Bool[Array, ""] | bool = False
    ) -> Float[Array, ""]:
        """Early in the training, more; and again where TD learning goes on, to find out what members do not know."""
        later = self.inner.explored(lived - self.warm_up) if self.pool == "q-networks" else self.choosing_epsilon
        share = jnp.where(learning, later, self.choosing_epsilon)
        return more_at_first(share, meta.updates, self.random_until * self.meta_steps)

    def learn(self, meta: Meta, inner: Inner, data: Transition, key: PRNGKey) -> Inner:
        """One update of the network; the first is made from the member whose predicted losses were least."""
        predicted = inner.predicted + jnp.sum(data.extras.predicted, (0, 1))
        best, now = member_of(meta.params["pool"], jnp.argmin(predicted)), inner.learning
        params, target = where(now.updates == 0, (best, best), (now.params, now.target))
        return Inner(self.inner.learn(now._replace(params=params, target=target), data, key), predicted)

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """Trains the pool and the meta-model on the lives of this meta-step."""
        lives = jax.tree.map(lambda x: x.reshape(x.shape[0], -1, *x.shape[3:]), lifetimes.data)
        batch = self.judged(meta.params, meta.slow, lives)
        state, metrics = minibatch_epochs(
            self._loss, self._optimiser(), meta[:2], batch, key, epochs=self.epochs, minibatches=self.minibatches
        )
        acted = jnp.mean(jax.nn.one_hot(lives.extras.member, self.members), (0, 1, 2))
        used = jnp.exp(-jnp.sum(acted * jnp.log(acted + 1e-9)))  # perplexity: 1 to n
        metrics |= {"members_used": used, "owner_share": jnp.mean(jnp.max(batch.share, 1))}
        slow = optax.incremental_update(state[0]["pool"], meta.slow, self.outer_polyak)
        return Meta(*state, slow, meta.updates + 1), metrics | life_returns(lifetimes.data)

    def judged(self, params: PyTree, slow: PyTree, lives: Transition) -> Batch:
        """What members are charged, and who is trained on what, as the pool stands before the update."""
        models, spec = self.models, self.bound

        def of_life(life: Transition) -> tuple[Array, Array]:
            kept = experience(life)
            weight = weights(spec.observation, kept, self.discount, self.weighting)
            return jax.vmap(lambda phi, old: models.judged(phi, old, kept, weight))(params["pool"], slow)

        losses, target = jax.vmap(of_life)(lives)
        share = shares(jnp.mean(losses, (2, 3)), self.temperature, self.losers, self.balanced)
        return Batch(lives._replace(extras=()), losses / (jnp.mean(jnp.abs(losses)) + 1e-8), target, share)

    def _loss(self, params: PyTree, part: Batch) -> tuple[Array, Metrics]:
        one = lambda life, target: jax.vmap(self.models.training, (0, None, 0))(
            params["pool"], experience(life), target
        )
        pool = jnp.mean(jnp.sum(part.share * jax.vmap(one)(part.life, part.target), 1))
        inputs = jax.vmap(jax.vmap(jax.vmap(self.inputs)))(part.life.step)
        predicted = jax.vmap(jax.vmap(self.meta_model.unroll, (None, 1), 2), (None, 0))(params["meta_model"], inputs)
        error = jnp.mean((jnp.moveaxis(predicted, 2, 1) - part.losses) ** 2)
        return pool + error, {"pool_loss": pool, "prediction_error": error}

    def inputs(self, step: Step) -> Float[Array, " D"]:
        """What the meta-model reads in one step."""
        spec, flags = self.bound, jnp.stack([step.previous_reward, step.first.astype(step.previous_reward.dtype)])
        return jnp.concatenate(
            [spec.observation.encode(step.observation), spec.action.encode(step.previous_action), flags]
        )

    def _held(self, meta: Meta, key: PRNGKey) -> Int[Array, ""]:
        """Who acts in a whole episode: in training sometimes any member, else none."""
        key_chance, key_member = jax.random.split(key)
        training = meta.updates.astype(float) < self.meta_steps
        member = jax.random.randint(key_member, (), 0, self.members, jnp.int32)
        return jnp.where(training & (jax.random.uniform(key_chance) < self.wander), member, -1)

    def _optimiser(self) -> optax.GradientTransformation:
        updates = self.meta_steps * self.epochs * self.minibatches
        return clipped_adam(self.learning_rate, self.max_gradient, updates)


def member_of(pool: PyTree, index: Int[Array, ""] | int) -> PyTree:
    """The parameters of one member."""
    return jax.tree.map(lambda x: x[index], pool)
