"""Erasure: the rows of one unit are taken out of the log, wherever they are, and what was done is proved by counts.

The steps are in an order in which a process may be killed at any moment and the next run finishes the work: which
decisions are the unit's is only known from its rows in `inferences`, so these are removed last. A file is replaced by
one of another name, which is written and read back before the old one is removed.
"""
