"""Computes the decisions of the log again, bit for bit.

Begin with `replay.py`. `drawn.py` makes the tables that are read. `tables.py` finds the slots that were in force for a
row, `decisions.py` compares the rows with them, and `policies.py` computes learned policies from their contents.
Nothing is computed in another way than the gateway does: these files call its functions.
"""
