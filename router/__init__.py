"""Pure routing: a snapshot and a call in, a plan out. No I/O, no clock, no randomness."""
