"""Returns and advantages along the leading (time) axis; any further axes ride along."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped


def discounted_returns(
    reward: Float[Array, "T *copies"], discount: Float[Array, "T *copies"], last: Float[Array, "*copies"] | float = 0.0
) -> Float[Array, "T *copies"]:
    r"""$G_t = r_t + \gamma_t G_{t+1}$ with $G_T$ = `last`.

    `discount` is 0 where the return stops (an episode's end), gamma elsewhere.
    """

    def step_back(following: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        value = now[0] + now[1] * following
        return value, value

    last = jnp.broadcast_to(jnp.asarray(last, reward.dtype), reward.shape[1:])
    return jax.lax.scan(step_back, last, (reward, discount), reverse=True, unroll=4)[1]


def gae(
    reward: Float[Array, "T *copies"],
    discount: Float[Array, "T *copies"],
    value: Float[Array, "T *copies"],
    next_value: Float[Array, "T *copies"],
    lambda_: Float[Array, ""] | float,
    follow: Float[Array, "T *copies"] | float = 1.0,
) -> Float[Array, "T *copies"]:
    r"""Generalised advantage estimation (Schulman et al., 2015, arXiv:1506.02438).

    $\delta_t = r_t + \gamma_t V(s_{t+1}) - V(s_t)$ and $A_t = \delta_t + \gamma_t \lambda\, c_t A_{t+1}$.

    Args:
        reward: $r_t$.
        discount: $\gamma_t$, 0 where the task terminated.
        value: $V(s_t)$.
        next_value: $V(s_{t+1})$ of the true successor, also where the episode was truncated.
        lambda_: $\lambda$.
        follow: $c_t$, 0 where step t + 1 belongs to another episode (terminated or truncated).
    """
    delta = reward + discount * next_value - value
    return discounted_returns(delta, discount * lambda_ * follow)


def first_episode_return(reward: Float[Array, "T E"], over: Bool[Array, "T E"]) -> Float[Array, ""]:
    """Return of the first episode of a phase, mean over copies."""
    return jnp.sum(reward, 0, where=in_first_episode(over)).mean()


def in_first_episode(over: Bool[Array, "T E"]) -> Bool[Array, "T E"]:
    """Steps up to the first that ends an episode."""
    ended = over.astype(jnp.int32)
    return jnp.cumsum(ended, 0) == ended


def sequences(x: Shaped[Array, "B K T E *rest"]) -> Shaped[Array, "N L *rest"]:
    """Lives as sequences: copies beside tasks, phases one after the other."""
    x = jnp.moveaxis(x, 3, 1)
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2] * x.shape[3], *x.shape[4:])


def sequence_returns(reward: Float[Array, "N L"], over: Bool[Array, "N L"]) -> dict[str, Float[Array, ""]]:
    """Metrics of N sequences of episodes: return of a sequence, and of an episode that ended in it, on average.

    Where no episode ended, what was lived of one stands for it.
    """
    ended = jnp.sum(over.astype(reward.dtype))
    whole = jnp.cumsum(over[:, ::-1], 1)[:, ::-1] > 0  # steps of episodes that end yet
    life, episodes = reward.sum(1).mean(), jnp.sum(jnp.where(whole, reward, 0.0))
    episode = jnp.where(ended > 0, episodes / jnp.maximum(ended, 1.0), life)
    return {"life_return": life, "episode_return": episode}
