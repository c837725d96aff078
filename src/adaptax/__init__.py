"""Deep meta-reinforcement learning in JAX."""
