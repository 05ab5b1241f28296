"""Computes the decisions of the log again, bit for bit.

Begin with `replay.py`. `log.py` opens the log within a bound of memory. `tables.py` finds the slots that were in force
for a row, `decisions.py` compares the rows with them, and `policies.py` computes learned policies from their contents.
Nothing is computed in another way than the gateway does: these files call its functions.
"""
