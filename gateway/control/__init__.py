"""Documents: follow them into the live table, change them, let rollouts advance."""
