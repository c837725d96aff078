"""What a policy written by hand returns: the known values of environments."""

import jax
import jax.numpy as jnp


def returned(env, policy, count: int) -> float:
    """Mean return of one episode of `policy(observation, task, time, key) -> action` over test tasks."""

    def episode(task, key: jax.Array) -> jax.Array:
        def move(now, key):
            state, observation, alive = now
            action = policy(observation, task, state.time, key)
            state, observation, reward, terminated, _ = env.step(task, state, action, key)
            return (state, observation, alive & ~terminated), jnp.where(alive, reward, 0.0)

        key_start, key_life = jax.random.split(key)
        keys = jax.random.split(key_life, env.horizon)
        return jax.lax.scan(move, (*env.reset(task, key_start), True), keys)[1].sum()

    tasks = jax.vmap(env.tasks.test)(jax.random.split(jax.random.key(1), count))
    return float(jax.jit(jax.vmap(episode))(tasks, jax.random.split(jax.random.key(2), count)).mean())
