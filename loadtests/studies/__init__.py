"""Studies of the gateway alone: steps of a prediction, lanes, shadows, guardrails."""
