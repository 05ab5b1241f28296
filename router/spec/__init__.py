"""What an operator declares of a route.

Begin with `spec.py`, which holds the nouns. `parse.py` reads a declaration into them or rejects it with a sentence;
the other `parse_*.py` read its parts. `unparse.py` turns a spec back into a declaration. `condition.py` checks the
targeting condition, with the operators of `operators.py` and the regular expressions of `patterns.py`.
"""
