"""Networks that put out networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.nn.hyper import hyper_network
from adaptax.nn.net import mlp

MADE = mlp((3, 5, 2))
NUMBER = 3 * 5 + 5 + 5 * 2 + 2


@pytest.mark.parametrize(("chunk", "chunks"), [(NUMBER, 1), (10_000, 1), (10, 4), (8, 4)])
def test_all_tasks_begin_with_the_same_network(chunk, chunks):
    net = hyper_network(MADE, inputs=4, hidden=6, chunk=chunk)
    params = net.init(jax.random.key(0))
    assert params["chunks"].shape == (chunks, 6) and params["head"].shape == (6, min(chunk, NUMBER))
    made = [net.apply(params, x) for x in jax.random.normal(jax.random.key(1), (2, 4))]
    like = MADE.init(jax.random.split(jax.random.key(0), 3)[2])
    for one in made:
        assert jax.tree.structure(one) == jax.tree.structure(like)
        jax.tree.map(np.testing.assert_array_equal, one, like)


def test_a_head_by_hand():
    """One chunk after the other, cut off where the network's parameters end."""
    net = hyper_network(MADE, inputs=4, hidden=6, chunk=10)
    params = net.init(jax.random.key(0)) | {"start": jnp.zeros(NUMBER), "head": jnp.ones((6, 10))}
    params |= {"chunks": jnp.arange(4.0)[:, None] * jnp.ones((1, 6))}
    params["trunk"] = jax.tree.map(jnp.zeros_like, params["trunk"])
    made = jax.tree.leaves(net.apply(params, jnp.ones(4)))
    flat = np.concatenate([np.ravel(x) for x in made])
    np.testing.assert_allclose(flat, np.repeat(np.arange(4.0) * 6, 10)[:NUMBER])


def test_every_parameter_of_the_made_network_can_be_moved():
    """Each of them has a gradient of its own: the head is no bottleneck of one number."""
    net = hyper_network(MADE, inputs=4, hidden=16, chunk=10)
    params = net.init(jax.random.key(0))
    made = lambda head: net.apply(params | {"head": head}, jnp.ones(4))
    flat = lambda head: jnp.concatenate([x.ravel() for x in jax.tree.leaves(made(head))])
    slopes = jax.jacobian(flat)(params["head"]).reshape(NUMBER, -1)
    assert np.linalg.matrix_rank(slopes) == NUMBER
