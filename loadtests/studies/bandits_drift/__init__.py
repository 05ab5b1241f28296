"""Simulations of what bandits learn where the level of reward drifts, and where decisions of a unit hang together."""
