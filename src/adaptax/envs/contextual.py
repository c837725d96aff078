"""Contextual bandits: what an arm pays depends on what is seen."""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit, in_training
from adaptax.core.types import PRNGKey, Transition
from adaptax.fields import Count, NonNegative, Range, Real
from adaptax.ops.scene import Disc, Label, Path, Rectangle, Scene
from adaptax.ops.spaces import Box, Discrete


class WheelBandit(Environment):
    r"""A wheel: on its rim the arm of the quarter pays much, elsewhere a safe one; where the rim begins is hidden.

    A context x is drawn uniformly from the unit disc. Arm 0 always pays `safe` on average. Of the four others, that of
    the context's quarter pays `high` where $\lVert x \rVert \ge \delta$; otherwise they pay `low`. All rewards have
    normal noise of deviation `noise`. The task is $\delta$. One pull is one episode, so a life of n pulls holds n
    episodes; the context is observed before the pull.

    Splits: `train`, `validation` and `test` draw $\delta \sim U[0, \mathrm{limit}]$ afresh (kind `iid`); `ood` draws it
    from `limit` to 1: the rim is thinner than any trained on, and what has always paid so far out may not.

    Evaluation counts pseudo-regret: the mean of the best arm over contexts and tasks,
    $\mathrm{high} - (\mathrm{high} - \mathrm{safe})\, \mathrm{limit}^2 / 3$, less what the arm pulled lacks of the best
    one's mean in this context. Where that mean is not known (`ood`, or a task given by hand), it counts the mean of
    the arm pulled.

    Known values (`adaptax.references`): who knows $\delta$ earns 36.824 a pull on average, who always pulls arm 0 1.2.

    Attributes:
        pulls: n, pulls in a life.
        safe: Mean reward of arm 0.
        low: Mean reward of the others where they are no good.
        high: Mean reward of the arm of the context's quarter on the rim.
        noise: Standard deviation of all rewards.
        limit: Largest $\delta$ of training.

    References:
        Riquelme, Tucker and Snoek, 2018, "Deep Bayesian bandits showdown", arXiv:1802.09127, section 5.4; drawing
        $\delta$ for each task: Garnelo et al., 2018, "Neural processes", arXiv:1807.01622.

    Differences from the paper:
        $\delta$ is drawn for each life and not fixed. Arms are numbered from the safe one. The score is an estimator
        of the same mean. Its code's default of 2,000 contexts is kept.
    """

    pulls: Count = 2000
    safe: Real = 1.2
    low: Real = 1.0
    high: Real = 50.0
    noise: NonNegative = 0.01
    limit: Annotated[float, Range(0.01, 0.99)] = 0.9

    observation_space = property(lambda self: Box(-1.0, 1.0, (2,)))
    action_space = property(lambda self: Discrete(5))
    episode_steps = property(lambda self: 1)
    episodes = property(lambda self: self.pulls)

    @property
    def tasks(self) -> TaskSplit:
        """Rims that begin up to the limit; out of distribution beyond it."""
        return TaskSplit.iid(
            lambda key: jax.random.uniform(key, maxval=self.limit),
            lambda key: jax.random.uniform(key, minval=self.limit, maxval=1.0),
        )

    def problems(self) -> list[str]:
        """Each arm must be best somewhere."""
        return [] if self.low < self.safe < self.high else ["safe must lie between low and high"]

    def task_problems(self, task: Float[np.ndarray, ""]) -> list[str]:
        """A radius of the unit disc."""
        return [] if 0 <= task <= 1 else ["the rim must begin between 0 and 1"]

    def reset(self, task: Float[Array, ""], key: PRNGKey) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
        """A new context."""
        del task
        radius, turn = jax.random.uniform(key, (2,))
        context = jnp.sqrt(radius) * jnp.stack([jnp.cos(2 * np.pi * turn), jnp.sin(2 * np.pi * turn)])
        return context, context

    def step(
        self, task: Float[Array, ""], state: Float[Array, "2"], action: Int[Array, ""], key: PRNGKey
    ) -> tuple[Float[Array, "2"], Float[Array, "2"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Pulls an arm; the episode is over."""
        mean, _ = self.means(task, state, action)
        reward = mean + self.noise * jax.random.normal(key)
        return state, state, reward, jnp.array(True), jnp.array(False)

    def means(
        self, task: Float[Array, ""], context: Float[Array, "2"], arm: Int[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Mean reward of an arm in a context, and of the best arm there."""
        x, y = context
        quarter = 1 + 2 * (x <= 0).astype(jnp.int32) + (y <= 0).astype(jnp.int32)
        rim = jnp.linalg.norm(context) >= task
        other = jnp.where(rim & (arm == quarter), self.high, self.low)
        return jnp.where(arm == 0, self.safe, other), jnp.where(rim, self.high, self.safe)

    def describe(self, task: Float[Array, ""]) -> Float[Array, "1"]:
        """Where the rim begins."""
        return task[None]

    @property
    def expected_best(self) -> float:
        """Mean over training tasks and contexts of the best arm's mean."""
        return self.high - (self.high - self.safe) * self.limit**2 / 3

    def score(self, task: Float[Array, ""], transition: Transition, split: str | None) -> Float[Array, ""]:
        """The mean of the reward given task and context, less what luck with both adds where that is known."""
        mean, best = self.means(task, transition.step.observation, transition.action)
        return self.expected_best - (best - mean) if in_training(split) else mean

    def render(self, task: Float[Array, ""], state: Float[Array, "2"]) -> Scene:
        """The rim, the quarters with their arms, and the context."""
        x, y = (float(number) for number in state)
        lines = [Path(np.array(ends), "wall") for ends in (((-1.0, 0.0), (1.0, 0.0)), ((0.0, -1.0), (0.0, 1.0)))]
        names = [Label(0.6 * i, 0.6 * j, str(1 + (1 - i) + (1 - j) // 2)) for i in (1, -1) for j in (1, -1)]
        discs = Disc(0.0, 0.0, 1.0, "hidden"), Disc(0.0, 0.0, float(task), "floor")
        return Scene((-1.0, -1.0), (1.0, 1.0), (*discs, *lines, *names, Disc(x, y, 0.04, "agent")))


class BarcodeTask(NamedTuple):
    """The C bandits of a life: the barcode that announces each, and the arm that is good in it."""

    barcodes: Float[Array, "C bits"]  # 0 or 1
    good: Int[Array, " C"]


class BarcodeState(NamedTuple):
    """Which of the bandits this visit is to, and pulls done."""

    bandit: Int[Array, ""]
    time: Int[Array, ""]


class BarcodeBandit(Environment):
    r"""Bandits that come back: each announces itself by a barcode, and what was found out before still holds.

    A life meets C bandits again and again, in random order. One visit is one episode of `pulls` pulls: its bandit is
    drawn uniformly when the episode begins, and its barcode of zeros and ones is what is observed in every step. In
    each bandit one arm is good and pays 1 with probability $p$ (`chance`), all others with $1 - p$. A task is the table
    of the C barcodes, all different, and their good arms. Who only explores well earns the same in every visit; who
    remembers need not explore again.

    Splits: `train`, `validation` and `test` draw barcodes and good arms afresh (kind `iid`); `ood` draws barcodes that
    differ in no more bits than it takes to tell C of them apart (the first 4 of 10 by default): what is remembered must
    not be mixed up. There is none where all bits are needed.

    Evaluation counts the mean of the reward given the arm, which has the mean of the reward and less variance.

    Known values (`adaptax.references`): by default, the best that can be done without memory of other visits earns
    4.436 a visit, 443.6 in a life; who remembers, but takes each barcode by itself, 843.8, which is Bayes-optimal with
    `cover` off; who knows the table 900.

    Attributes:
        arms: Arms of each bandit.
        bandits: C, how many there are in a life.
        bits: Length of a barcode.
        pulls: Pulls in a visit.
        visits: Visits in a life.
        chance: p, the probability that a good arm pays.
        cover: Whether each arm is good in at least one bandit; else good arms are drawn independently.

    References:
        Ritter et al., 2018, "Been there, done that: meta-learning with episodic recall", arXiv:1805.09692.

    Differences from the paper:
        A visit's bandit is drawn with replacement, since an episode does not know which one of its life it is: in 100
        visits a bandit is met 10 times on average, and not exactly. How long its barcodes are we could not read.
    """

    arms: Annotated[int, Range(2, 1000)] = 10
    bandits: Count = 10
    bits: Annotated[int, Range(1, 16)] = 10
    pulls: Count = 10
    visits: Count = 100
    chance: Annotated[float, Range(0.5, 1, open_low=True)] = 0.9
    cover: bool = True

    observation_space = property(lambda self: Box(0.0, 1.0, (self.bits,)))
    action_space = property(lambda self: Discrete(self.arms))
    episode_steps = property(lambda self: self.pulls)
    episodes = property(lambda self: self.visits)

    @property
    def tasks(self) -> TaskSplit:
        """Any different barcodes; out of distribution they are nearly alike."""
        fewest = (self.bandits - 1).bit_length()
        alike = (lambda key: self._task(key, fewest)) if fewest < self.bits else None
        return TaskSplit.iid(lambda key: self._task(key, self.bits), alike)

    def _task(self, key: PRNGKey, varying: int) -> BarcodeTask:
        """Barcodes that differ in the first so many bits alone, and their good arms."""
        key_code, key_same, key_arm, key_more = jax.random.split(key, 4)
        same = jax.random.randint(key_same, (), 0, 2 ** (self.bits - varying))
        code = _different(key_code, 2**varying, self.bandits) + 2**varying * same
        barcodes = ((code[:, None] >> jnp.arange(self.bits)[None]) & 1).astype(float)
        each = _different(key_arm, self.arms, self.arms if self.cover else 0)
        more = jax.random.randint(key_more, (self.bandits - len(each),), 0, self.arms)
        return BarcodeTask(barcodes, jnp.concatenate([each, more]))

    def problems(self) -> list[str]:
        """There must be barcodes for all bandits, and bandits for all arms."""
        few = [] if self.bandits <= 2**self.bits else [f"bandits must be at most 2 ** bits = {2**self.bits}"]
        bare = self.cover and self.bandits < self.arms
        return few + ([f"bandits must be at least arms = {self.arms}, or cover off"] if bare else [])

    def task_problems(self, task: BarcodeTask) -> list[str]:
        """Barcodes are bits, all different; good arms exist."""
        bits = np.isin(task.barcodes, (0, 1)).all()
        different = len(np.unique(task.barcodes, axis=0)) == len(task.barcodes)
        wrong = [] if bits and different else ["barcodes must be zeros and ones, and all different"]
        there = np.all((task.good >= 0) & (task.good < self.arms))
        return wrong + ([] if there else [f"good arms must lie between 0 and {self.arms - 1}"])

    def reset(self, task: BarcodeTask, key: PRNGKey) -> tuple[BarcodeState, Float[Array, " bits"]]:
        """A visit to one of the bandits."""
        state = BarcodeState(jax.random.randint(key, (), 0, self.bandits), jnp.zeros((), jnp.int32))
        return state, task.barcodes[state.bandit]

    def step(
        self, task: BarcodeTask, state: BarcodeState, action: Int[Array, ""], key: PRNGKey
    ) -> tuple[BarcodeState, Float[Array, " bits"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Pulls an arm."""
        reward = jax.random.bernoulli(key, self._mean(task, state.bandit, action)).astype(float)
        state = state._replace(time=state.time + 1)
        return state, task.barcodes[state.bandit], reward, jnp.array(False), state.time >= self.pulls

    def _mean(self, task: BarcodeTask, bandit: Int[Array, ""], arm: Int[Array, ""]) -> Float[Array, ""]:
        """Mean reward of an arm of a bandit."""
        return jnp.where(arm == task.good[bandit], self.chance, 1.0 - self.chance)

    def describe(self, task: BarcodeTask) -> Float[Array, " F"]:
        """The table: barcodes, and good arms one-hot."""
        good = jax.nn.one_hot(task.good, self.arms)
        return jnp.concatenate([task.barcodes, good], -1).reshape(-1)

    def score(self, task: BarcodeTask, transition: Transition, split: str | None) -> Float[Array, ""]:
        """The mean of the reward of the arm, in the bandit that the barcode announces."""
        del split
        same = jnp.all(task.barcodes == transition.step.observation[None], -1)
        return self._mean(task, jnp.argmax(same), transition.action)

    def render(self, task: BarcodeTask, state: BarcodeState) -> Scene:
        """A row for each bandit: its barcode, then its good arm among the others; a mark at the one visited."""
        rows = range(self.bandits)
        bars = [
            Rectangle(float(i), row + 0.1, 1.0, 0.8, "wall")
            for row in rows
            for i in np.flatnonzero(np.asarray(task.barcodes[row]))
        ]
        at = self.bits + 1.5  # a gap between barcodes and arms
        places = [Disc(at + arm, row + 0.5, 0.15, "floor") for row in rows for arm in range(self.arms)]
        good = [Disc(at + int(task.good[row]), row + 0.5, 0.35, "hidden") for row in rows]
        agent = Disc(-0.7, int(state.bandit) + 0.5, 0.3, "agent")
        return Scene((-1.0, 0.0), (at + self.arms - 0.5, float(self.bandits)), (*bars, *places, *good, agent))


def _different(key: PRNGKey, below: int, count: int) -> Int[Array, " count"]:
    """So many different numbers in random order, each from 0 to below - 1."""
    return jax.lax.top_k(jax.random.bits(key, (below,)), count)[1]
