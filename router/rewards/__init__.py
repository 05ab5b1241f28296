"""Rewards: what happened after a decision, as a pure function of everything that was reported of it."""
