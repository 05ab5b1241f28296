"""What the log says after the fact: whether its decisions are as they should be, and what others would have earned.

`replay/` computes every decision of the log again, by the functions of the gateway. `off_policy/` holds the estimates
of what a policy would have earned, as pure functions. `simulate/` runs a declared bandit over logged decisions.

This package reads the log, the router and the bandits. Of the gateway, only the command line imports it.
"""
