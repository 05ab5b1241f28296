"""What a policy would have earned, from the log of another one. Pure functions of arrays.

Begin with `sums.py`, which holds the estimates. `overlap.py` says when the log cannot answer, `interval.py` how far an
estimate may be off, `reward_models.py` what reward to expect of an arm, and `acceptance.py` which logged decisions a
policy may take for its own.
"""
