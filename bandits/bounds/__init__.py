"""What is done to a policy's weights before they are used: floors, ceilings, the largest change, burn-in.

`bounds.py` holds the limits and refuses impossible ones. `bounded.py` applies them, and is what callers need.
`next_slots.py` is one update: burn-in, policy, bounds.
"""
