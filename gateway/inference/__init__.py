"""One prediction: choose an arm, run it, fall back, record, offer to shadows. Knows no protocol."""
