"""The draw: which arm gets a unit.

Begin with `assignment.py`, which hashes a unit into one of 10,000 buckets. `slots.py` holds the table of which arm
owns each bucket, and changes it when weights change. `layers.py` keeps experiments apart and holds units out.
"""
