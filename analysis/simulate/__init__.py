"""A trial run of a declared bandit over logged decisions.

Begin with `simulate.py`. `usable.py` says which rows may be used, `contexts.py` where their contexts come from,
`logged.py` reads them, and `run.py` is one run: it takes logged decisions for those of the bandit, lets it learn from
their rewards as they mature (`trial_sums.py`), and estimates what its weights would have earned on all of them.
"""
