"""Sums that are rebuilt from the log, to be compared with those of a store."""
