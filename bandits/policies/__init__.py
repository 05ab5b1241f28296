"""Policies without a context, one in each file: estimates in, weights out.

`choose.py` builds one from a name and parameters. Each file says the formula, what it assumes, its weakness and its
source. Where arms are equal, they share equally, whatever their order.
"""
