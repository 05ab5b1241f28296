"""Exponential, logarithm and the normal distribution, the same to the last bit on every machine.

`math.exp` and `numpy.exp` come from the C library or from instructions of the processor, and differ in the last bit
from one machine to another. A policy that used them could not be replayed elsewhere. The functions here use only
operations that IEEE 754 defines to the last bit: + - * /, the square root, and taking a number apart into fraction and
exponent. numpy does these element by element, in no order of its own, so arrays of any shape give the same bits as
single numbers.

Begin with `exponential.py`.
"""
