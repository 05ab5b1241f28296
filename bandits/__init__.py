"""Pure bandit policies, and the rules by which a log may be evaluated: sums and a context in, weights out.

There is no policy yet. The first ones come with the reward loop. Policies do not import the router, and the router does
not import them.
"""
