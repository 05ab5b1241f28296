"""`pointsman demo bandit`: a simulated crowd on the demo's bandit, through HTTP.

`route.py` declares the bandit, `crowd.py` says how people react, `tally.py` counts what came of it, `session.py` sends
the requests, `anew.py` lets the bandit forget an earlier crowd, and `view.py` shows how it learns.
"""
