"""Exact limits: what a Bayes-optimal agent earns, by dynamic programming over everything that it can know."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

# Beyond these the searches take longer than seconds; the functions then return None.
MAX_MULTISETS = 400_000  # states of knowledge about several arms
MAX_PULLS_TWO_ARMS = 150  # pulls of two arms: the tables grow with the fourth power
MAX_WALKS = 300_000  # walks of one length to keep
MAX_GOALS = 48  # a set of goals and a cell share 64 bits
QUICK_WALKS = 300  # walks of one length in the first search, which only has to find a good one


def bernoulli_optimal(arms: int, pulls: int) -> float | None:
    r"""Expected total reward of the Bayes-optimal policy for Bernoulli arms with $p_i \sim U[0, 1]$.

    Arms are exchangeable, so what is known is the multiset of (successes, failures) of the arms touched so far, and

    $$V(S, h) = \max_i \; \bar p_i (1 + V(S + s_i, h - 1)) + (1 - \bar p_i) V(S + f_i, h - 1)$$

    with $\bar p = (s + 1) / (s + f + 2)$ the mean of the Beta posterior.

    Args:
        arms: k, how many arms there are.
        pulls: n, how many pulls are left.

    Returns:
        The value, or None where there is too much to know.

    Example:
        >>> round(bernoulli_optimal(arms=5, pulls=10), 5)
        6.65999

    References:
        Bellman, 1956, "A problem in the sequential design of experiments"; the limit of the tables of Duan et al.,
        2016, arXiv:1611.02779.
    """
    if arms == 1:
        return pulls / 2
    if arms == 2 and pulls <= MAX_PULLS_TWO_ARMS:
        return _two_arms(pulls)
    if _multisets(min(arms, pulls), pulls) > MAX_MULTISETS:
        return None
    return _several_arms(arms, pulls)


def _several_arms(arms: int, pulls: int) -> float:
    """Memoised recursion over sorted tuples of (successes, failures)."""

    @lru_cache(None)
    def value(known: tuple[tuple[int, int], ...], left: int) -> float:
        if left == 0:
            return 0.0
        options = set(known) if len(known) == arms else {*known, (0, 0)}
        return max(pull(known, arm, left) for arm in options)

    def pull(known: tuple[tuple[int, int], ...], arm: tuple[int, int], left: int) -> float:
        successes, failures = arm
        others = list(known)
        if arm in known:
            others.remove(arm)
        won = tuple(sorted([*others, (successes + 1, failures)]))
        lost = tuple(sorted([*others, (successes, failures + 1)]))
        mean = (successes + 1) / (successes + failures + 2)
        return mean * (1 + value(won, left - 1)) + (1 - mean) * value(lost, left - 1)

    return value((), pulls)


def _multisets(arms: int, pulls: int) -> int:
    """How many multisets of up to `arms` touched arms hold at most `pulls` pulls together."""
    if arms * pulls > 10_000:  # far beyond `MAX_MULTISETS`, and slow to count
        return MAX_MULTISETS + 1
    count = np.zeros((arms + 1, pulls + 1))
    count[0, 0] = 1
    for size in range(1, pulls + 1):
        for _ in range(size + 1):  # an arm of `size` pulls has had 0 .. size successes
            for touched in range(1, arms + 1):
                count[touched, size:] += count[touched - 1, : pulls + 1 - size]
    return int(count.sum())


def _two_arms(pulls: int) -> float:
    """Dense tables over (pulls, successes) of the first arm and successes of the second, from the last pull back."""
    value = np.zeros((pulls + 1, pulls + 1, pulls + 1))
    for done in range(pulls - 1, -1, -1):
        first, s1, s2 = np.ogrid[: done + 1, : done + 1, : done + 1]
        mean_1, mean_2 = (s1 + 1) / (first + 2), (s2 + 1) / (done - first + 2)
        here = slice(0, done + 1)
        won_1, lost_1 = value[1 : done + 2, 1 : done + 2, here], value[1 : done + 2, here, here]
        won_2, lost_2 = value[here, here, 1 : done + 2], value[here, here, here]
        value = np.maximum(  # entries with more successes than pulls are never read from those without
            mean_1 * (1 + won_1) + (1 - mean_1) * lost_1, mean_2 * (1 + won_2) + (1 - mean_2) * lost_2
        )
    return float(value[0, 0, 0])


def grid_optimal(size: int, horizon: int, episodes: int) -> Float[np.ndarray, " episodes"] | None:
    r"""Expected return of each episode under the Bayes-optimal policy for `adaptax.envs.grid.GridNavigation`.

    Until the goal is found nothing is observed, so the policy is a fixed walk that starts afresh every `horizon`
    steps; from then on it goes straight to the goal, d cells away, in every episode. Going straight returns
    $c_d = (H + 1 - d) - 0.1 (d - 1)$ an episode, so finding the goal in step t = 1 .. H after e episodes without it
    returns $(E - e) c_d - 0.1 e H - 1.1 (t - d)$ in all. The walk that is best on average over the goals is found by
    branch and bound over (cell, goals visited), all walks of one length at once.

    Args:
        size: Cells on a side.
        horizon: H, steps of an episode.
        episodes: E, episodes in a life.

    Returns:
        E returns, whose sum is the Bayes-optimal value of the life, or None where there are too many walks or an
        episode is too short for the farthest goal. Another walk of the same sum may divide it otherwise.

    Example:
        >>> grid_optimal(size=5, horizon=15, episodes=2).round(4)
        array([ 4.    , 11.0714])

    References:
        The environment is that of Zintgraf et al., 2020, arXiv:1910.08348, section 5.1.
    """
    search = _Search.of(size, horizon, episodes)
    if horizon < 2 * (size - 1) or len(search.distance) > MAX_GOALS:
        return None
    nothing = _Found(-np.inf, np.zeros(len(search.distance), int))
    quick, _ = _best_walk(search, nothing, QUICK_WALKS, give_up=False)
    best, exact = _best_walk(search, quick, MAX_WALKS, give_up=True)
    return _episode_returns(search, best.found) if exact else None


def known_goal_return(distance: Int[np.ndarray, "..."], horizon: int) -> Float[np.ndarray, "..."]:
    """Return of an episode of grid navigation that goes straight to a goal so many cells away."""
    return np.where(distance <= horizon, horizon + 1.1 - 1.1 * distance, -0.1 * horizon)


class _Search(NamedTuple):
    """Grid navigation as a search for a walk. Goals are sorted, the nearest first."""

    horizon: int
    episodes: int
    distance: np.ndarray  # [G] from the start
    goal: np.ndarray  # [cells] number of the goal in a cell, -1 where there can be none
    neighbours: np.ndarray  # [cells, 4]
    value: np.ndarray  # [G, HE + 2] return of the life if goal g is found in step tau; last column: never

    @staticmethod
    def of(size: int, horizon: int, episodes: int) -> "_Search":
        x, y = np.divmod(np.arange(size**2), size)
        cells = np.flatnonzero((x >= 2) | (y >= 2))  # all but the start corner
        cells = cells[np.argsort((x + y)[cells], kind="stable")]
        distance = (x + y)[cells]
        goal = np.full(size**2, -1)
        goal[cells] = np.arange(len(cells))
        right, left = np.minimum(x + 1, size - 1) * size + y, np.maximum(x - 1, 0) * size + y
        up, down = x * size + np.minimum(y + 1, size - 1), x * size + np.maximum(y - 1, 0)
        # No goal is met before step `distance`; reading that step for an earlier one makes the bound sharper.
        before, step = np.divmod(np.arange(-1, horizon * episodes), horizon)
        late = np.maximum(step + 1 - distance[:, None], 0)
        value = (
            (episodes - before) * known_goal_return(distance, horizon)[:, None] - 0.1 * before * horizon - 1.1 * late
        )
        never = np.full((len(cells), 1), -0.1 * horizon * episodes)
        neighbours = np.stack([right, left, up, down], -1)
        return _Search(horizon, episodes, distance, goal, neighbours, np.concatenate([value, never], 1))

    @property
    def never(self) -> float:
        """Return of a life that does not find the goal."""
        return float(self.value[0, -1])


class _Walks(NamedTuple):
    """The best walks of one length to each (cell, goals visited)."""

    cell: np.ndarray
    seen: np.ndarray  # bit g: goal g was visited
    value: np.ndarray  # sum of the returns over the goals visited
    parent: np.ndarray  # which of the walks one step shorter this one continues


class _Found(NamedTuple):
    """A walk."""

    value: float  # sum of the returns over all goals
    found: np.ndarray  # [G] the step that first visits each goal; 0 where none does


def _best_walk(search: _Search, best: _Found, width: int, give_up: bool) -> tuple[_Found, bool]:
    """The best walk, or `best` if none is better, and whether that is certain.

    Of each length the most promising `width` walks are kept; with `give_up` the search ends where there are more.
    """
    zero = np.zeros(1, np.int64)
    layers, certain = [_Walks(zero, zero, np.zeros(1), zero)], True
    for tau in range(1, search.horizon * search.episodes + 1):
        walks = _longer(search, layers[-1], tau)
        unseen = ~walks.seen[:, None] >> np.arange(len(search.distance)) & 1
        stopping = walks.value + search.never * unseen.sum(1)
        if stopping.max() > best.value + 1e-9:
            best = _Found(float(stopping.max()), _first_visits(search, layers, walks, int(stopping.argmax())))
        bound = walks.value + _bound(search, unseen, tau)
        keep = np.flatnonzero(bound > best.value + 1e-9)
        if len(keep) > width:
            certain = False
            keep = keep[np.argsort(-bound[keep], kind="stable")[:width]]
        if len(keep) == 0 or (give_up and not certain):
            break
        layers.append(_Walks(*(entries[keep] for entries in walks)))
    return best, certain


def _longer(search: _Search, walks: _Walks, tau: int) -> _Walks:
    """All walks one step longer, of which step `tau` is the last; of those that know the same, the best."""
    parent = np.repeat(np.arange(len(walks.cell)), search.neighbours.shape[1])
    cell = search.neighbours[walks.cell].ravel()
    goal = search.goal[cell]
    bit = np.where(goal >= 0, np.int64(1) << np.maximum(goal, 0), 0)
    new = (bit & ~walks.seen[parent]) != 0
    value = walks.value[parent] + np.where(new, search.value[goal, tau], 0.0)
    seen = walks.seen[parent] | bit
    if tau % search.horizon == 0:
        cell = np.zeros_like(cell)
    same = seen * len(search.goal) + cell
    order = np.lexsort((-value, same))
    order = order[np.append(True, np.diff(same[order]) != 0)]
    return _Walks(cell[order], seen[order], value[order], parent[order])


def _bound(search: _Search, unseen: Int[np.ndarray, "W G"], tau: int) -> Float[np.ndarray, " W"]:
    r"""At most this is to come: one new goal in each step from now on, the nearest to the start first.

    No order of the goals is worth more: for goals at distances $d < d'$ and steps $\tau < \tau'$ the values obey
    $v(d, \tau) + v(d', \tau') \ge v(d, \tau') + v(d', \tau)$ (Monge), and they fall with the step.
    """
    when = np.minimum(tau + np.cumsum(unseen, 1), search.value.shape[1] - 1)
    return (unseen * np.take_along_axis(search.value, when.T, 1).T).sum(1)


def _first_visits(search: _Search, layers: list[_Walks], walks: _Walks, index: int) -> np.ndarray:
    """The step `[G]` in which one of the last walks first met each goal; 0 where it never did."""
    found = np.zeros(len(search.distance), int)
    for tau in range(len(layers), 0, -1):
        before, seen = layers[tau - 1], int(walks.seen[index])
        parent = int(walks.parent[index])
        new = seen & ~int(before.seen[parent])
        if new:
            found[new.bit_length() - 1] = tau
        walks, index = before, parent
    return found


def _episode_returns(search: _Search, found: np.ndarray) -> np.ndarray:
    """Mean over the goals of the return of each episode, `[E]`."""
    returns = np.full((len(found), search.episodes), -0.1 * search.horizon)
    known = known_goal_return(search.distance, search.horizon)
    for goal in np.flatnonzero(found):
        episode, before = divmod(int(found[goal]) - 1, search.horizon)
        returns[goal, episode] = search.horizon - 1.1 * before
        returns[goal, episode + 1 :] = known[goal]
    return returns.mean(0)
