"""Meta-DQN: one Q-network for all tasks that reads what is known of the task beside the state."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from adaptax.core.types import PRNGKey, PyTree, Transition
from adaptax.fields import Count, Positive
from adaptax.inner.conditioned import Conditioned, Meta
from adaptax.inner.replay import Drawn, experience, followed
from adaptax.nn.net import PureNet, mlp
from adaptax.nn.q_network import film_q_network, q_network
from adaptax.ops.moments import normalised
from adaptax.ops.optimise import lenient

AT_ONCE = 32  # places that are searched from side by side: gradients through all of a phase are large


class MetaDQN(Conditioned):
    r"""One Q-network for all tasks, Q(s, a, z): z tells it which one this is.

    z is the task's descriptor, or what a small network makes of the first phases of a life: of each of their steps
    (beside s, a, r and what followed it reads the products of s and a, and of s, a and r), averaged, or of second
    moments of these. A life's $\phi = (\theta, z)$. Trained across tasks T, by their TD error: $\theta$ descends
    $\mathrm{mean}_{T, (s, a)}\, H(Q_\theta(s, a, z_T) - y)$ on what lives in many tasks recorded, H being Huber's loss,
    with targets y from a copy of $\theta$ that follows slowly.

    With `search`, z is the descriptor in training, and nobody tells a life what it is. It is searched in what a first
    phase of random steps recorded, from the descriptors of `starts` tasks of the training, by `search_steps` steps of
    Adam. A network that was trained as told can be searched too: `evaluate(run, learner_fields={"search": "td"})`.

    - `td`: down the TD error of each of these steps, $z \leftarrow z - \alpha \nabla_z\, \mathrm{mean}\,
      H(Q_\theta(s, a, z) - r - \gamma \max_b Q_\theta(s', b, z))$; the z of the least error is taken;
    - `value`: up the value, $z \leftarrow z + \alpha \nabla_z\, \mathrm{mean}\, Q_\theta(s, a, z)$; the z of the
      highest value is taken. This finds the task that one would wish for: no reward enters it but through the states
      that were visited. It is there to be compared.

    Attributes:
        latent: Size of z where it is not the descriptor.
        condition: Whether the layers read z beside the state, or z scales and shifts what they put out (FiLM).
        search: How z is searched in a new task, where its descriptor is known in training alone.
        starts: Places that the search begins at.
        search_steps: Steps from each. Many starts with one step serve as well as few with many.
        search_lr: $\alpha$, the size of these steps; z is in standard deviations over tasks.

    References:
        Schaul, Horgan, Gregor & Silver, 2015, "Universal Value Function Approximators", ICML (a value function that
        reads what the task is beside the state); Hallak, Di Castro & Mannor, 2015, arXiv:1502.02259 (contexts); Perez,
        Strub, de Vries, Dumoulin & Courville, 2017, arXiv:1709.07871 (FiLM).

    Differences from the paper: there the task is a goal in one world; here it is whatever tells tasks apart.
    """

    latent: Count = 32
    condition: Literal["concatenation", "film"] = "concatenation"
    search: Literal["none", "td", "value"] = "none"
    starts: Count = 512
    search_steps: Count = 1
    search_lr: Positive = 0.1

    @property
    def is_told(self) -> bool:
        """Who must search is not told."""
        return self.features == "descriptor" and self.search == "none"

    @property
    def network(self) -> PureNet:
        """Q of encoded observations, with z among its parameters."""
        seen, actions = self.bound.observation.size, self.bound.action.size
        if self.condition == "film":
            net = film_q_network(seen, self._latent, actions, self.hidden, self.dueling)
            apply = lambda params, features: net.apply(params["net"], features, params["z"])
        else:
            net = q_network(seen + self._latent, actions, self.hidden, self.dueling)
            apply = lambda params, features: net.apply(params["net"], jnp.concatenate([features, params["z"]]))
        return PureNet(lambda key: {"net": net.init(key), "z": jnp.zeros(self._latent)}, apply)

    @property
    def _latent(self) -> int:
        return self.bound.descriptor if self.features == "descriptor" else self.latent

    @property
    def reader(self) -> PureNet:
        """What makes z of one row of task features."""
        products = 2 * self.bound.observation.size * self.bound.action.size if self.features == "encoder" else 0
        return mlp((self.told_shape[1] + products, self.hidden, self.latent), jax.nn.relu, last_gain=1.0)

    def problems(self) -> list[str]:
        """A search needs a descriptor to look for."""
        wrong = super().problems()
        if self.search != "none" and self.features != "descriptor":
            wrong.append(f"search looks for the descriptor, and features is {self.features!r}: set it to 'descriptor'")
        if self.search != "none" and self.exploring > 1:
            wrong.append(f"search reads one phase, and exploring is {self.exploring}: set it to 1, and steps higher")
        return wrong

    def fresh(self, key: PRNGKey) -> PyTree:
        """The network, and what reads task features for it."""
        key_net, key_reader = jax.random.split(key)
        reader = () if self.features == "descriptor" else self.reader.init(key_reader)
        return {"net": self.network.init(key_net)["net"], "reader": reader}

    def made(self, params: PyTree, told: Float[Array, "n F"]) -> PyTree:
        """The same network in each task, with a z of its own."""
        if self.features == "descriptor":
            return {"net": params["net"], "z": told[0]}
        rows = self.with_products(told) if self.features == "encoder" else told
        return {"net": params["net"], "z": jnp.mean(jax.vmap(self.reader.apply, (None, 0))(params["reader"], rows), 0)}

    def with_products(self, steps: Float[Array, "n F"]) -> Float[Array, "n P"]:
        """Steps with s times a, and that times r: what was done where, and what it paid, is learned from sums badly."""
        seen, actions = self.bound.observation.size, self.bound.action.size
        s, a, r, _ = jnp.split(steps, [seen, seen + actions, seen + actions + 1], 1)
        done = (s[:, :, None] * a[:, None]).reshape(len(steps), -1)
        return jnp.concatenate([steps, done, done * r], 1)

    def deployed(self, meta: Meta) -> Meta:
        """Who searches needs the descriptors to begin at; they stay, so that a test can search who trained as told."""
        lives = meta.lives._replace(kept=()) if self.features == "descriptor" else ()
        return super().deployed(meta)._replace(lives=lives)

    def asked(self, meta: Meta, told: Any, data: Transition, key: PRNGKey) -> PyTree:
        """The network that what is known calls for: with a search, one with the z that it finds in this phase."""
        if self.search == "none":
            return self.made_for(meta, told)
        held = jnp.clip(meta.lives.written, 1, self.lives)
        rows = jax.random.randint(key, (self.starts,), 0, held)
        starts = jax.vmap(normalised, (None, 0))(meta.moments, meta.lives.told[rows, 0, 0])
        steps = 0 if jax.tree.leaves(meta.optimiser) else self.search_steps  # lives of the training take the best start
        search = lambda z: self.searched(meta.params["net"], z, self.lived_through(data), steps)
        found, bad = jax.lax.map(search, starts, batch_size=AT_ONCE)
        return {"net": meta.params["net"], "z": found[jnp.argmin(bad)]}

    def lived_through(self, data: Transition) -> Drawn:
        """All experience of a phase `[T, E, ...]`, each once; what followed random steps is no sign of the best."""
        kept = experience(data)
        steps, copies = kept.reward.shape
        index = jnp.arange(steps * copies, dtype=jnp.int32)
        return followed(kept, index // copies, index % copies, 1, self.discount)

    def searched(
        self, net: PyTree, z: Float[Array, " F"], drawn: Drawn, steps: int
    ) -> tuple[Float[Array, " F"], Float[Array, ""]]:
        """Where so many steps of the search lead from z, and how bad that is."""
        optimiser = lenient(optax.adam(self.search_lr))

        def bad(z: Float[Array, " F"]) -> Float[Array, ""]:
            params = {"net": net, "z": z}
            if self.search == "value":
                return -jnp.mean(self.inner.off(params, drawn, jnp.zeros_like(drawn.gain)))
            return self.inner.weighed(drawn, self.inner.errors(params, params, drawn))

        def step(now: tuple[Array, optax.OptState], _: None) -> tuple[tuple[Array, optax.OptState], None]:
            change, state = optimiser.update(jax.grad(bad)(now[0]), now[1])
            return (now[0] + jnp.asarray(change), state), None

        (z, _), _ = jax.lax.scan(step, (z, optimiser.init(z)), length=steps)
        return z, bad(z)
