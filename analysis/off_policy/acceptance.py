"""Which logged decisions a policy may take for its own: those for which it draws the arm that was logged.

Where arms were drawn evenly, a decision is taken if the policy draws its arm. Then what the policy sees is what it
would have seen, one decision in K (Li, Chu, Langford, Wang, "Unbiased offline evaluation of contextual-bandit-based
news article recommendation algorithms", 2011). Where they were drawn with other probabilities p, a decision of arm a is
taken with the probability

    c q(a) / p(a),  c = the least p of any arm

which is rejection sampling (von Neumann, 1951): of the decisions that are taken, the share of arm a is q(a), and c of
all are taken, whatever q is. With even p this is the rule above.
"""

from analysis.off_policy.sums import Bools, Floats


def accepted(chosen: Floats, propensities: Floats, least: Floats, uniform: Floats) -> Bools:
    """Return which decisions are taken, given q and p of the logged arm, c, and numbers drawn evenly from [0, 1)."""
    return uniform * propensities < least * chosen
