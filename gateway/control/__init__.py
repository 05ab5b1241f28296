"""Documents: read them from the store into the live table, change them, and advance rollouts.

Read `reconciler.py` for the way from the store to the live table, `changes.py` for the way of a command into the
store, `rollouts.py` for the changes that the gateway makes by itself.
"""
