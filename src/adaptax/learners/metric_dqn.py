"""Metric DQN: a library of solved tasks, and a learned distance that says which of them a new task starts from."""

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from adaptax.core.lifetime import streams, where
from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree, Schedule, Transition
from adaptax.fields import Count, Fraction, Positive, Whole
from adaptax.inner.by_td import life_returns
from adaptax.inner.informed import Informed
from adaptax.inner.replay import added
from adaptax.inner.td import TD, Learning
from adaptax.nn.siamese import Siamese, siamese
from adaptax.ops.batching import where_any
from adaptax.ops.moments import Moments, normalised, nothing_seen, seen
from adaptax.ops.optimise import clipped_adam
from adaptax.ops.returns import sequence_returns


class Library(NamedTuple):
    """The last tasks that were solved, at most L."""

    told: Float[Array, "L n F"]  # their features
    params: PyTree  # [L, ...], the network that each life ended with
    earned: Float[Array, " L"]  # an episode, in the last phase
    written: Int[Array, ""]  # entries ever made


class Tries(NamedTuple):
    """What entries earned in other tasks, the last R times that one was tried."""

    task: Float[Array, "R n F"]
    entry: Float[Array, "R n F"]
    at_home: Float[Array, " R"]  # what the entry earned in its own task, an episode
    earned: Float[Array, " R"]  # and in this one
    written: Int[Array, ""]


class Attempts(NamedTuple):
    """What a life of use knows that tries entries before it learns."""

    told: Float[Array, "n F"]
    expected: Float[Array, " L"]  # of each entry, in standard deviations of what tries earned
    entry: Int[Array, ""]  # the one in hand


class Meta(NamedTuple):
    """Outer state; optimiser and tries are nothing once it is deployed."""

    params: PyTree  # of the siamese network, and w
    optimiser: optax.OptState
    first: PyTree  # the network that begins where there is no library
    library: Library
    tries: Any  # Tries
    moments: Moments  # of what is known of tasks
    worth: Moments  # of what was earned in tries


class MetricDQN(Informed):
    r"""Begin with the networks of the most similar tasks in a library; a siamese network learns what similar means.

    A new task x begins with $\phi_0 \propto \sum_j \exp(s_j / \tau) \phi_j$ over the `neighbours` entries of the
    highest $s_j = w e_j - d_\theta(x, x_j)$: tasks that are near, and were solved, for $e_j$ is what entry j earned at
    home. It goes on by deep Q-learning. Each phase begins a new episode, so that what it earns is an entry's own doing.
    The distance is taught by what it is for: lives in training first try entries, a greedy phase each, and $v_\theta(x)
    + s_j$ is fitted to what entry j earns in task x. So d is how much is lost by transfer, and v takes up that some
    tasks pay more. Of the tries a part, `near`, goes to entry j with probability $\propto \exp(s_j / \tau)$, the others
    to any: where few entries are of use for a task, those that seem so must be tried, or there is nothing to learn from
    but failures. Then the life learns its task, and its features, its network and what that earned become an entry.

    With `attempts`, a life of use does not trust the distance alone, but tries an entry a phase before it learns, each
    time the one of which most is expected, at first $v_\theta(x) + s_j$. When j earned o, what is expected of all
    entries i is corrected, $s_i \leftarrow s_i + e^{-d_\theta(x_i, x_j)} (o - s_j)$: those that would do as well in j's
    task will do as j did here. So after a failure it goes on with an entry that is unlike the one that failed.

    Weighted sums of networks mean something only if these have grown from one start: learned apart, what a unit stands
    for differs from one to the next. `trained_from` says what lives in training start from. While the library is empty
    a life begins with fresh random weights.

    Attributes:
        phases: Phases of a training life in which its task is learned.
        exploring: Phases before, in which a life that is not told its task finds it out by random actions.
        tries: Entries that a training life tries before.
        near: How often an entry is tried that seems good for the task, and not just any.
        library: L, entries kept.
        neighbours: Nearest entries that are averaged.
        attempts: Phases in which a life of use tries entries before it learns; with one neighbour.
        temperature: $\tau$, how little the nearest entry is preferred, in standard deviations of what tries earn.
        trained_from: What a training life learns from: one network for all lives, one of its own, or the entry that
            was tried last.
        asymmetric: Whether the distance there and back may differ; see `nn.siamese`.
        units: Units in the layers of the siamese network.
        embedding: Size of the embedding of a task.
        remembered: R, tries kept.
        outer_updates: Gradient steps of the siamese network in a meta-step.
        outer_batch: Tries behind one such step.
        learning_rate: Step size of the outer loop, falling linearly to zero over the training.
        max_gradient: Global norm that outer gradients are clipped to.
        epsilon: Share of random actions at birth in a life of use; a training life begins to learn with 1.

    References:
        Bromley, Guyon, LeCun, Saeckinger & Shah, 1993, "Signature verification using a Siamese time delay neural
        network", NIPS; Carroll & Seppi, 2005, "Task similarity measures for transfer in reinforcement learning task
        libraries", IJCNN (distances by transfer); Wortsman et al., 2022, arXiv:2203.05482 (averages of networks that
        share a start); Cully, Clune, Tarapore & Mouret, 2015, arXiv:1407.3501 (attempts that correct what is expected
        of others like them).

    Differences from the paper: none of them learns a distance from what transfer earned, or starts a Q-network by it;
    Cully et al. take a Gaussian process over a map of behaviours for one robot, where this takes the learned distance.
    """

    phases: Count = 10
    tries: Count = 2
    near: Fraction = 0.5
    library: Count = 500
    neighbours: Count = 1
    attempts: Whole = 0
    temperature: Positive = 0.3
    trained_from: Literal["one", "own", "entry"] = "one"
    asymmetric: bool = False
    units: Count = 64
    embedding: Count = 16
    remembered: Count = 4000
    outer_updates: Count = 16
    outer_batch: Count = 128
    learning_rate: Positive = 1e-3
    max_gradient: Positive = 10.0
    epsilon: Fraction = 0.1

    reset_each_phase = True

    @property
    def siamese(self) -> Siamese:
        """What compares tasks."""
        return siamese(self.told_shape[1], self.units, self.embedding, self.asymmetric)

    def schedule(self, episodes: int | None = None) -> Schedule:
        """As many phases as hold so many episodes, or those of a training life: what is random, tries, learning."""
        usual = super().schedule(episodes)
        return usual if episodes else usual._replace(phases=usual.phases + self.tries)

    def problems(self) -> list[str]:
        """What is kept must hold what comes at once, and what is asked for."""
        wrong = super().problems()
        if self.library < self.tasks:
            wrong.append(f"library is {self.library}; it must hold the {self.tasks} entries that a meta-step makes")
        if self.library < self.neighbours:
            wrong.append(f"library is {self.library}; neighbours asks for {self.neighbours} of its entries")
        if self.attempts and self.neighbours > 1:
            wrong.append(f"attempts try one entry at a time, and neighbours is {self.neighbours}: set it to 1")
        if self.remembered < self.tasks * self.tries:
            wrong.append(f"remembered is {self.remembered}; a meta-step makes {self.tasks * self.tries} tries")
        return wrong

    def init(self, key: PRNGKey) -> Meta:
        """An empty library."""
        key_siamese, key_first = jax.random.split(key)
        params = {"siamese": self.siamese.init(key_siamese), "w": jnp.zeros(())}
        first, nothing = self.network.init(key_first), jnp.zeros((), jnp.int32)
        rows = lambda count: jnp.zeros((count, *self.told_shape))
        entries = jax.tree.map(lambda x: jnp.zeros((self.library, *x.shape), x.dtype), first)
        return Meta(
            params=params,
            optimiser=self._optimiser().init(params),
            first=first,
            library=Library(rows(self.library), entries, jnp.zeros(self.library), nothing),
            tries=Tries(
                task=rows(self.remembered),
                entry=rows(self.remembered),
                at_home=jnp.zeros(self.remembered),
                earned=jnp.zeros(self.remembered),
                written=nothing,
            ),
            moments=nothing_seen(self.told_shape[1]),
            worth=nothing_seen(1),
        )

    def deployed(self, meta: Meta) -> Meta:
        """The library, and what tells distances."""
        return meta._replace(optimiser=(), tries=())

    def start(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> PyTree:
        """The network of an entry to be tried, or in a life of use that which the library has for the task."""
        told = jnp.broadcast_to(meta.moments.mean, self.told_shape) if descriptor is None else descriptor[None]
        return self.entry(meta, told, key) if training(meta) else self.made_for(meta, told)

    def begin(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> tuple[Learning, Int[Array, ""]]:
        """A life keeps what it is told, to choose by it what it tries."""
        inner, lived = super().begin(meta, key, descriptor)
        told = inner.told if descriptor is None else descriptor[None]
        if training(meta):
            return inner._replace(told=told), lived
        return (inner._replace(told=self.attempt(self.expected(meta, told), told)) if self.attempts else inner), lived

    def entry(self, meta: Meta, told: Float[Array, "n F"], key: PRNGKey) -> PyTree:
        """The network of an entry to be tried."""
        index, library = self.tried(meta, told, key), meta.library
        return where(library.written > 0, jax.tree.map(lambda x: x[index], library.params), meta.first)

    def tried(self, meta: Meta, told: Float[Array, "n F"], key: PRNGKey) -> Int[Array, ""]:
        """Which entry is tried: one that seems good, or any."""
        key_near, key_good, key_any = jax.random.split(key, 3)
        good = jax.random.categorical(key_good, self.scores(meta, told) / self.temperature).astype(jnp.int32)
        any_one = jax.random.randint(key_any, (), 0, jnp.clip(meta.library.written, 1, self.library))
        return jnp.where(jax.random.bernoulli(key_near, self.near), good, any_one)

    def made_for(self, meta: Meta, told: Float[Array, "n F"]) -> PyTree:
        r"""$\phi_0$: the weighted networks of the nearest entries."""
        index, weight = self.nearest(meta, told)
        mixed = jax.tree.map(lambda x: jnp.tensordot(weight, x[index], 1), meta.library.params)
        return where(meta.library.written > 0, mixed, meta.first)

    def nearest(self, meta: Meta, told: Float[Array, "n F"]) -> tuple[Int[Array, " k"], Float[Array, " k"]]:
        """Which the nearest entries are that were solved, and their weights."""
        best, index = jax.lax.top_k(self.scores(meta, told), self.neighbours)
        weight = jax.nn.softmax(jnp.where(jnp.isfinite(best), best, -1e9) / self.temperature)
        return index.astype(jnp.int32), weight

    def scores(self, meta: Meta, told: Float[Array, "n F"]) -> Float[Array, " L"]:
        r"""$s_j$ of all entries; of those that are not there yet, minus infinity."""
        library, read = meta.library, partial(self.read, meta.params, meta.moments)
        score = partial(self.score, meta.params, meta.worth, read(told))
        scores = jax.vmap(score)(jax.vmap(read)(library.told), library.earned)
        return jnp.where(jnp.arange(self.library) < library.written, scores, -jnp.inf)

    def score(
        self, params: PyTree, worth: Moments, task: Float[Array, " E"], entry: Float[Array, " E"], earned: Array
    ) -> Float[Array, ""]:
        r"""$s_j$: how good an entry is for a task, from their embeddings and what it earned at home."""
        at_home = normalised(worth, earned[None])[0]
        return params["w"] * at_home - self.siamese.distance(params["siamese"], task, entry)

    def read(self, params: PyTree, moments: Moments, told: Float[Array, "n F"]) -> Float[Array, " E"]:
        """The embedding of a task from its features as they were told."""
        return self.siamese.embed(params["siamese"], jax.vmap(normalised, (None, 0))(moments, told))

    def attempt(self, expected: Float[Array, " L"], told: Float[Array, "n F"]) -> Attempts:
        """The entry of which most is expected is the next one in hand."""
        return Attempts(told, expected, jnp.argmax(expected).astype(jnp.int32))

    def expected(self, meta: Meta, told: Float[Array, "n F"]) -> Float[Array, " L"]:
        """What a task will pay by each entry, in standard deviations."""
        best = self.siamese.best(meta.params["siamese"], self.read(meta.params, meta.moments, told))
        return best + self.scores(meta, told)

    def corrected(self, meta: Meta, now: Attempts, earned: Float[Array, ""]) -> Float[Array, " L"]:
        """What is expected of each entry, now that one of them earned this."""
        read = partial(self.read, meta.params, meta.moments)
        one = read(meta.library.told[now.entry])
        distance = partial(self.siamese.distance, meta.params["siamese"])
        alike = jnp.exp(-jax.vmap(lambda told: distance(read(told), one))(meta.library.told))
        alike = alike.at[now.entry].set(1.0)  # an asymmetric distance to itself is not 0
        change = alike * (normalised(meta.worth, earned[None])[0] - now.expected[now.entry])
        return jnp.where(jnp.isfinite(now.expected), now.expected + change, now.expected)

    def rule(self, meta: Meta) -> TD:
        """The inner loop's rule, which learns nothing while entries are tried; in training it then explores widely."""
        tries = (self.tries if training(meta) else self.attempts) * self.phase_steps * self.copies
        first = 1.0 if training(meta) else self.epsilon
        return self.inner._replace(random_steps=self.random_steps + tries, epsilon=(first, self.last_epsilon))

    def explored_share(self, meta: Meta, lived: Int[Array, ""]) -> Float[Array, ""]:
        """Entries are tried as they are."""
        rule = self.rule(meta)
        trying = (lived >= self.random_steps) & (lived < rule.random_steps)
        return jnp.where(trying, 0.0, rule.explored(lived))

    def adapt(self, meta: Meta, inner: Learning, data: Transition, key: PRNGKey) -> Learning:
        """In training the next entry to be tried, and then what the task is learned from; in use the best one."""
        if not training(meta):
            return self._attempted(meta, inner, data, key) if self.attempts else super().adapt(meta, inner, data, key)
        come = self._begun(data)
        if not self.is_told:
            phase = come + self.finding - 1
            told = where(phase < self.exploring, self.heard(inner.told, data, phase), inner.told)
            inner = inner._replace(told=told)
        learned_from = {"one": meta.first, "own": self.network.init(key), "entry": inner.params}[self.trained_from]
        params = where(come < self.tries, self.entry(meta, inner.told, key), learned_from)
        begun = self.inner.again(params, inner.replay)._replace(told=inner.told)
        return where((come >= 0) & (come <= self.tries), begun, inner)

    def _begun(self, data: Transition) -> Int[Array, ""]:
        """Tries begun up to the end of this phase: the first one begins with the life, or when it has explored."""
        return data.extras[0, 0] // data.reward.shape[0] + 1 - self.finding

    def _attempted(self, meta: Meta, inner: Learning, data: Transition, key: PRNGKey) -> Learning:
        """What goes on after a phase of a life of use: the best entry as it is known by then, while attempts last."""
        now, come = inner.told, self._begun(data)
        inner = super().adapt(meta, inner._replace(told=now.told), data, key)
        now = now._replace(told=inner.told)

        def chosen() -> Attempts:
            known = self.attempt(self.expected(meta, inner.told), inner.told)
            tried = self.attempt(self.corrected(meta, now, earned_in_phase(data)), now.told)
            return where(come == 0, known, tried)

        trying = (come >= 1) & (come <= self.attempts)
        now = where_any(trying | (come == 0), chosen, now)
        entry = jax.tree.map(lambda x: x[now.entry], meta.library.params)
        begun = self.inner.again(where(meta.library.written > 0, entry, meta.first), ())._replace(told=now)
        return where(trying, begun, inner._replace(replay=(), told=now))._replace(replay=inner.replay)

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """Remembers what the tries earned, makes entries of the lives, and descends the error of what was expected."""
        optimiser, told = self._optimiser(), self.told_of(lifetimes)[:, -1]
        meta = self._entered(self._remembered(meta, lifetimes, told), lifetimes, told)

        def descend(now: tuple[PyTree, optax.OptState], key: PRNGKey) -> tuple[tuple[PyTree, optax.OptState], Metrics]:
            rows = jax.random.randint(key, (self.outer_batch,), 0, jnp.clip(meta.tries.written, 1, self.remembered))
            drawn = jax.tree.map(lambda x: x[rows], meta.tries._replace(written=()))
            loss, gradient = jax.value_and_grad(self._loss)(now[0], meta, drawn)
            change, state = optimiser.update(gradient, now[1])
            after = optax.apply_updates(now[0], change), state
            return where(meta.tries.written > 0, after, now), {"transfer_loss": loss}

        keys = jax.random.split(key, self.outer_updates)
        (params, state), metrics = jax.lax.scan(descend, (meta.params, meta.optimiser), keys)
        meta = meta._replace(params=params, optimiser=state)
        return meta, jax.tree.map(jnp.mean, metrics) | life_returns(lifetimes.data)

    def _optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.max_gradient, self.meta_steps * self.outer_updates)

    def _loss(self, params: PyTree, meta: Meta, tries: Tries) -> Float[Array, ""]:
        """How far what tries earned is from what was expected, in standard deviations of it."""

        def expected(told: Array, told_entry: Array, at_home: Array) -> Float[Array, ""]:
            task, entry = (self.read(params, meta.moments, x) for x in (told, told_entry))
            return self.siamese.best(params["siamese"], task) + self.score(params, meta.worth, task, entry, at_home)

        earned = jax.vmap(normalised, (None, 0))(meta.worth, tries.earned[:, None])[:, 0]
        return jnp.mean(optax.losses.huber_loss(jax.vmap(expected)(tries.task, tries.entry, tries.at_home), earned))

    def _remembered(self, meta: Meta, lifetimes: Lifetime, told: Float[Array, "B n F"]) -> Meta:
        """With what the tries of these lives earned, once there are entries to try."""
        tried = lambda told, key: jnp.stack([self.tried(meta, told, key) for key in self._keys(key)])
        index = jax.vmap(tried)(told, lifetimes.key)
        task = jnp.broadcast_to(told[:, None], (self.tasks, self.tries, *self.told_shape))
        earned = earned_in(lifetimes.data)[:, self.finding :][:, : self.tries]
        new = (task, meta.library.told[index], meta.library.earned[index], earned)
        new = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), new)
        tries = added(meta.tries, new)
        worth = seen(meta.worth, new[3][:, None])
        tries, worth = where(meta.library.written > 0, (tries, worth), (meta.tries, meta.worth))
        return meta._replace(tries=tries, worth=worth, moments=seen(meta.moments, told.reshape(-1, told.shape[-1])))

    def _keys(self, key: PRNGKey) -> list[PRNGKey]:
        """The keys that a life drew the entries by that it tried: at its birth, and at the ends of phases."""
        life, first = streams(key), -1 + self.finding
        at = lambda phase: life.begin if phase < 0 else jax.random.fold_in(life.adapt, phase)
        return [at(phase) for phase in range(first, first + self.tries)]

    def _entered(self, meta: Meta, lifetimes: Lifetime, told: Float[Array, "B n F"]) -> Meta:
        """With these lives in the library, in place of the oldest."""
        new = (told, lifetimes.last.inner.params, earned_in(lifetimes.data)[:, -1])
        return meta._replace(library=added(meta.library, new))


def earned_in(data: Transition) -> Float[Array, "B K"]:
    """What an episode paid in each phase of lives `[B, K, T, E, ...]`."""
    return jax.vmap(jax.vmap(earned_in_phase))(data)


def earned_in_phase(data: Transition) -> Float[Array, ""]:
    """What an episode paid in a phase `[T, E, ...]`."""
    return sequence_returns(data.reward.T, (data.terminated | data.truncated).T)["episode_return"]


def training(meta: Meta) -> bool:
    """Whether this is the outer state of a training, and not what was deployed of it."""
    return bool(jax.tree.leaves(meta.optimiser))
