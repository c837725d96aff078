"""A pool whose members own tasks, and a meta-model that tells whose task this is."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import adaptax as ax
from adaptax.core.lifetime import born, live_phase
from adaptax.envs.grid import GridNavigation
from adaptax.inner.pools import LARGEST_WEIGHT, Policies, QNetworks, shares, weights
from adaptax.inner.replay import Experience
from adaptax.learners.selector import Selector
from adaptax.nn.net import PureNet
from adaptax.ops.spaces import Discrete
from adaptax.testing import small
from adaptax.testing.toys import Corridor

ENV = GridNavigation()
S = Discrete(6)
TABLE = PureNet(lambda key: jax.random.normal(key, (6, 2)), lambda params, features: features @ params)
BY = {loss: jax.jit(QNetworks(TABLE, S, 0.9, 0.7, loss).judged) for loss in ("return", "td")}


def life_of(seed: int, steps: int = 12) -> Experience:
    """Random steps in one copy; of the episodes some end and some are cut."""
    rng = np.random.default_rng(seed)
    state = rng.integers(0, 6, steps + 1)
    terminated, cut = rng.random(steps) < 0.15, rng.random(steps) < 0.15
    column = lambda x, kind: jnp.asarray(x, kind)[:, None]
    return Experience(
        column(state[:-1], jnp.int32),
        column(rng.integers(0, 2, steps), jnp.int32),
        column(rng.normal(size=steps), float),
        column(state[1:], jnp.int32),
        column(terminated, bool),
        column(terminated | cut, bool),
    )


def by_hand(q: np.ndarray, life: Any, t: int, trace: float, watkins: bool) -> float:
    """What Q(s_t, a_t) should be, as a sum of what followed: in plain Python, forwards."""
    best, total, weight = q.max(1), 0.0, 1.0
    for j in range(t, len(life.reward)):
        goes_on = 0.9 * (not life.terminated[j])
        total += weight * life.reward[j]
        last = life.over[j] or j + 1 == len(life.reward)
        agrees = not last and q[life.observation[j + 1]].argmax() == life.action[j + 1]
        share = 0.0 if last else trace * (agrees if watkins else 1.0)
        total += weight * goes_on * (1 - share) * best[life.next_observation[j]]
        weight *= goes_on * share
    return total


@given(seed=st.integers(0, 10_000))
def test_what_a_q_network_is_charged_and_trained_to(seed):
    life, q = life_of(seed), jax.random.normal(jax.random.key(seed), (6, 2))
    flat, table = jax.tree.map(lambda x: np.asarray(x)[:, 0], life), np.asarray(q)
    value = table[flat.observation, flat.action]
    for loss, trace in (("return", 1.0), ("td", 0.0)):
        charged, target = BY[loss](q, q, life, life.reward)
        expected = (value - [by_hand(table, flat, t, trace, False) for t in range(12)]) ** 2
        np.testing.assert_allclose(charged[:, 0], expected, rtol=1e-4, atol=1e-5)
        watkins = [by_hand(table, flat, t, 0.7, True) for t in range(12)]
        np.testing.assert_allclose(target[:, 0], watkins, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("huber", [0.5, 1e6])
def test_by_what_a_q_network_is_trained(huber):
    life, q, target = life_of(3), jnp.zeros((6, 2)), jnp.linspace(-4.0, 8.0, 12)[:, None]
    found = jax.grad(QNetworks(TABLE, S, 0.9, 0.7, "td", huber).training)(q, life, target)
    expected = np.zeros((6, 2))
    np.add.at(expected, (life.observation[:, 0], life.action[:, 0]), -np.clip(target[:, 0], -huber, huber) / huber / 12)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-12)


def test_what_a_policy_is_charged():
    life, logits = life_of(0), jnp.log(jnp.array([[0.25, 0.75]] * 6))
    weight = jnp.linspace(0.5, 1.5, 12)[:, None]
    charged, target = Policies(TABLE, S).judged(logits, logits, life, weight)
    expected = -weight * jnp.log(jnp.where(life.action == 1, 0.75, 0.25))
    np.testing.assert_allclose(charged, expected, rtol=1e-6)
    np.testing.assert_array_equal(target, weight)
    np.testing.assert_allclose(Policies(TABLE, S).training(logits, life, target), expected.mean(), rtol=1e-6)


def test_what_was_earned_weighs():
    life = life_of(0, 40)._replace(over=jnp.ones((40, 1), bool))  # each step an episode: its return is its reward
    life = life._replace(reward=life.action.astype(float), observation=jnp.zeros((40, 1), jnp.int32))
    np.testing.assert_array_equal(weights(S, life, 0.9, 0.0), np.ones((40, 1)))
    one, two = weights(S, life, 0.9, 1.0), weights(S, life, 0.9, 100.0)
    assert one[life.action == 1].min() > 1 > one[life.action == 0].max() and one.mean() == pytest.approx(1)
    assert np.isfinite(two).all() and two.max() <= LARGEST_WEIGHT


@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-6, 1.0, 1e4]), balanced=st.booleans())
def test_shares_of_lives(seed, scale, balanced):
    losses = jax.random.normal(jax.random.key(seed), (40, 4)) + jnp.array([[0.0, 5.0, 5.0, 5.0]])
    found = shares(scale * losses, 0.1, 0.1, balanced)
    np.testing.assert_allclose(found.sum(1), np.ones(40), rtol=1e-5)
    assert found.min() >= 0.1 / 4 - 1e-6
    alone = shares(losses[:1], 1e-3, 0.0, balanced=False)
    np.testing.assert_allclose(alone[0], np.eye(4)[int(losses[0].argmin())], atol=1e-3)
    if balanced:  # though the first is better at nearly everything
        np.testing.assert_allclose(found.mean(0), np.full(4, 0.25), atol=0.05)
    elif scale == 1.0:
        assert found.mean(0)[0] > 0.7


def walk(always: int, episodes: int) -> list[tuple]:
    """Episodes in a corridor of six cells, from the second on, by someone who goes one way; only the right end pays."""
    steps = []
    for _ in range(episodes):
        cell = 1
        for time in range(12):
            following = min(max(cell + 2 * always - 1, 0), 5)
            ends = following == 5
            steps.append((cell, always, float(ends), following, ends, ends or time == 11))
            cell = following
            if ends:
                break
    return steps


def test_the_td_error_is_least_for_who_expects_nothing():
    """One member knows the corridor but for small errors, another expects nothing; both act in half of the episodes."""
    cells = jnp.arange(6.0)[:, None]
    right, left = 0.9 ** (4 - cells), 0.9 ** (4 - jnp.maximum(cells - 1, 0)) * 0.9
    knows = jnp.concatenate([left, right], 1) + 0.02 * jax.random.normal(jax.random.key(0), (6, 2))
    nothing = jnp.zeros((6, 2))
    rows = walk(0, 4) + walk(1, 4)
    kinds = (jnp.int32, jnp.int32, float, jnp.int32, bool, bool)
    life = Experience(*(jnp.asarray(x, kind)[:, None] for x, kind in zip(zip(*rows, strict=True), kinds, strict=True)))
    known, unknown = ({loss: BY[loss](q, q, life, life.reward)[0][:, 0] for loss in BY} for q in (knows, nothing))
    unpaid = np.asarray(life.reward[:, 0] == 0)
    assert (unknown["td"][unpaid] < known["td"][unpaid]).all(), "expecting nothing is right wherever nothing is met"
    assert unknown["return"].mean() > 2 * known["return"].mean()
    for loss, choice in (("td", 0), ("return", 1)):  # in each cell, who is charged less, and where that leads
        cell = np.asarray(life.observation[:, 0])
        charged = [[np.asarray(x[loss])[cell == c].mean() for c in range(5)] for x in (unknown, known)]
        assert np.argmin(charged, 0)[1] == choice, loss


def test_where_every_step_pays_the_return_is_least_off_for_who_expects_a_fall():
    """Cells 0 to 4 are how far a pole leans; who acts pushes it over in three steps, which each pay 1."""
    rows = [(2, 1, 1.0, 3, False, False), (3, 1, 1.0, 4, False, False), (4, 1, 1.0, 5, True, True)] * 4
    life = Experience(*(jnp.asarray(x)[:, None] for x in zip(*rows, strict=True)))
    knows = jnp.full((6, 2), 10.0).at[4, 1].set(1.0).at[0, 0].set(1.0)  # who pushes back in time is paid for ever
    charged = {
        loss: [BY[loss](q, q, life, life.reward)[0].mean() for q in (knows, jnp.full((6, 2), 2.0))] for loss in BY
    }
    assert charged["td"][0] == pytest.approx(0, abs=1e-9) and charged["td"][1] > 0.6
    assert charged["return"][0] > 10 * charged["return"][1], "another acted, and the return is of what he did"


def bound(**fields: Any) -> Selector:
    return dataclasses.replace(small(Selector()), **{"copies": 1} | fields).bind(ENV.spec(), 10)


def convinced(learner: Selector, losses: list[float]) -> Any:
    """An outer state whose meta-model always predicts these losses; training is over."""
    meta = learner.init(jax.random.key(0))
    head = meta.params["meta_model"]["head"]
    head[-1] = {"weight": jnp.zeros_like(head[-1]["weight"]), "bias": jnp.array(losses)}
    return learner.deployed(meta)


def alive(learner: Selector, meta: Any) -> Any:
    return born(learner, ENV, meta, ENV.tasks.test(jax.random.key(2)), jax.random.key(3), learner.copies)


@pytest.mark.parametrize("best", [0, 1])
def test_the_member_of_the_least_predicted_loss_acts_and_td_goes_on_from_it(best):
    learner = bound(choosing_epsilon=0.0, epsilon=0.0, last_epsilon=0.0, warm_up=100, replay=500, inner_lr=1e-12)
    meta = convinced(learner, [1.0, 0.0] if best else [0.0, 1.0])
    life, longer = alive(learner, meta), learner.schedule()._replace(phases=9, in_use=True)
    pool = [jax.tree.map(lambda x, i=i: x[i], meta.params["pool"]) for i in range(2)]
    first, data = live_phase(learner, ENV, meta, life, longer, True)  # 120 steps
    assert (data.extras.member == best).all()
    greedy = jax.vmap(jax.vmap(lambda x: learner.inner.values(pool[best], x).argmax()))(data.step.observation)
    np.testing.assert_array_equal(data.action, greedy)
    assert int(first.agent.inner.learning.updates) == (120 - 100) // learner.update_every + 1
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), first.agent.inner.learning.params, pool[best]
    )
    swapped = meta._replace(params=meta.params | {"pool": jax.tree.map(lambda x: x[::-1], meta.params["pool"])})
    _, later = live_phase(learner, ENV, swapped, first, longer, True)  # the pool no longer matters
    greedy = jax.vmap(jax.vmap(lambda x: learner.inner.values(pool[best], x).argmax()))(later.step.observation)
    np.testing.assert_array_equal(later.action, greedy)


def test_who_has_chosen_a_member_explores_anew_and_a_pool_of_policies_never_does():
    fields = {"choosing_epsilon": 0.1, "epsilon": 0.5, "last_epsilon": 0.2, "epsilon_steps": 100.0, "warm_up": 40}
    learner = bound(**fields)
    meta = learner.deployed(learner.init(jax.random.key(0)))
    shares = [float(learner.explored_share(meta, jnp.asarray(lived), True)) for lived in (40, 90, 140, 500)]
    np.testing.assert_allclose(shares, [0.5, 0.35, 0.2, 0.2], rtol=1e-6)
    choosing = [float(learner.explored_share(meta, jnp.asarray(lived))) for lived in (0, 39, 500)]
    np.testing.assert_allclose(choosing, 0.1, err_msg="however long it is, where nothing is learned")
    policies = bound(**fields, pool="policies")
    meta = policies.deployed(policies.init(jax.random.key(0)))
    np.testing.assert_allclose([policies.explored_share(meta, jnp.asarray(lived)) for lived in (0, 500)], 0.1)


@pytest.mark.parametrize("pool", ["q-networks", "policies"])
def test_in_training_random_members_act_for_whole_episodes(pool):
    learner = bound(pool=pool, wander=1.0, copies=2)
    meta = learner.init(jax.random.key(0))
    life, schedule = alive(learner, meta), learner.schedule()
    _, data = live_phase(learner, ENV, meta, life, schedule, True)
    episodes = np.moveaxis(np.asarray(data.extras.member), 1, 0).reshape(-1, ENV.horizon)
    assert (episodes == episodes[:, :1]).all() and set(episodes.ravel()) == {0, 1}
    _, data = live_phase(learner, ENV, learner.deployed(meta), life, schedule, True)
    np.testing.assert_array_equal(data.extras.member, data.extras.predicted.argmin(-1))


def test_what_is_learned_from_is_what_was_predicted():
    learner = bound()
    meta = learner.init(jax.random.key(0))
    _, data = live_phase(learner, ENV, meta, alive(learner, meta), learner.schedule(), True)
    inputs = jax.vmap(learner.inputs)(jax.tree.map(lambda x: x[:, 0], data.step))
    unrolled = learner.meta_model.unroll(meta.params["meta_model"], inputs)
    np.testing.assert_allclose(data.extras.predicted[:, 0], unrolled, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"members": 1}, "members is 1; a pool needs 2 or more, or there is nothing to choose"),
        ({"minibatches": 3}, "minibatches is 3; it must divide the 40 tasks of a meta-step"),
        ({"replay": 1}, "replay is 1; a batch, n_step and update_every need 32 steps of each copy"),
    ],
)
def test_what_does_not_go_together_is_said(fields, problem):
    (said,) = Selector(**fields).bind(ENV.spec()).problems()
    assert said.startswith(problem)


def test_policies_want_discrete_actions():
    (said,) = Selector(pool="policies").bind(ax.make("point-navigation").spec()).problems()
    assert said == "policies with softmax choose among discrete actions, and this environment's are continuous"


SIZES = {"tasks": 32, "members": 2, "hidden": 16, "recurrent": 16, "phases": 1, "discount": 0.9}


@pytest.mark.usefixtures("unvalidated")
@pytest.mark.filterwarnings("ignore:a life of 100 steps is over before Selector makes its first update")
@pytest.mark.parametrize("pool", ["q-networks", "policies"])
def test_each_member_owns_an_end_and_the_past_tells_which(pool):
    """Corridors whose left or right end pays: no member can be good at both.

    Q-networks of seeds 0, 1 and 2 return 1.0, 1.0 and 1.0 from the third episode on; charged for the TD error, 0.6, 0.5
    and 0.3, though the members own an end each.
    """
    learner = Selector(pool=pool, learning_rate=1e-2, **SIZES)
    run = ax.train(learner, Corridor(), meta_steps=60, log_every=60)
    lives = ax.record(run, tasks=200, checkpoint="last")
    meta = jax.tree.map(lambda x: x[0], run.meta("last"))
    data = jax.tree.map(lambda x: jnp.asarray(x[0]).reshape(200, -1, *x.shape[4:]), lives.data)
    owned = np.asarray(learner.bind(Corridor().spec()).judged(meta.params, meta.params["pool"], data).share)
    right = np.asarray(lives.tasks) == 1
    owner = int(owned[right].mean(0).argmax())
    assert owned[right, owner].mean() > 0.9 and owned[~right, 1 - owner].mean() > 0.9
    member, first = np.asarray(data.extras.member)[..., 0], np.cumsum(np.asarray(data.step.first)[..., 0], 1)
    fits = member == np.where(right, owner, 1 - owner)[:, None]
    assert fits[first > 2].mean() > 0.9  # from the third episode on
    earned = ax.evaluate(run, split="validation", tasks=200, checkpoint="last").samples.episode_return[0]
    assert np.nanmean(earned[:, 2:8]) > 0.95
