"""What the sums say about the arms.

Begin with `sums.py` (what is counted), then read `looks.py` (what each guardrail compares), `guardrails.py` (of
which requests) and `evidence.py` (the statistics, with their sources). `weighed.py` is for bandits, whose weights move.
`verdict.py` turns evidence into a state and a sentence. `due.py` says which change follows. `sample_ratio.py` tests
whether arms get as many requests as their weights say. `time_buckets.py` merges old counts, and `intervals.py` holds
confidence intervals for shadows.
"""
