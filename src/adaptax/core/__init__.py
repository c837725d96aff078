"""The contract and the loops: types, environments, learners, lives, training, evaluation."""
