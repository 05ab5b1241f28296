"""Contextual policies, one in each file: scores of the arms for one context in, weights out."""
