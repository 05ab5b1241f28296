"""The probability that each arm is the best one, from posteriors of the arms' means.

`quadrature.py` integrates for independent posteriors; `normal.py` and `beta.py` give it densities. `correlated.py` is
for normals whose errors hang together, and is what policies use: it takes `normal.py` where they do not.
"""
