"""Pure bandit policies: sums and a context in, weights out. The first policies arrive with the reward loop."""
