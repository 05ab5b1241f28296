"""The state of one route, and every command that changes it.

Begin with `document.py` (the state; `stored.py` has its stored form), then read `commands.py` and `apply.py`, which
does what they say. `phase.py` is the state machine of a rollout and `rollout.py` what each transition does to weights,
step and clock. `learning.py` is the same of a bandit, and `learned.py` has the weights that it moves by itself.
`declare.py`, `shift.py`, `undo.py` and `quarantine.py` hold the commands of those names. `bindings.py` holds
the versions to which aliases are bound, and `follow.py` says what is due when an alias names another one.
"""
