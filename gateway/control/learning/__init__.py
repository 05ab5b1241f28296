"""Learning: from the sums of rewards to the next policy of a bandit.

`periods.py` reads the sums in the form in which `bandits` takes them, `bounds.py` has the limits of the arms, `next.py`
joins both into the next policy, without I/O, and `learner.py` does that for all routes of a store.
"""
