"""Pure bandit policies, and the rules by which a log may be evaluated: sums and a context in, weights out.

Begin with `policy.py`: estimates in, weights out, never a draw. `policies/` holds the policies without a context,
`best/` the probability that each arm is best, `bounds/` what is done to weights before they are used, and `stopping.py`
says when the best arm is known. What a weight depends on is computed by `arithmetic/`, to the same bits everywhere.

This package does not import the router, and the router does not import it.
"""
