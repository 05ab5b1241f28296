"""What sums say of the arms: evidence, verdicts, guardrails, and what is due."""
