"""Contextual policies with disjoint linear arms: each arm has a linear model of its own of the reward in the context.

The path of a context: `context.py` makes integers of it, `sums.py` adds them up, `levels.py` finds what all arms share,
`solve.py` makes a model of each arm out of the sums, `scorer.py` scores the arms for one context, and a file of
`policies/` turns scores into weights.
"""
