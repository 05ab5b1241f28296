"""What is known of the arms, from sums of rewards.

A store forgets old time buckets. So an estimate is computed from a state, into which each matured period is folded
once, in the order of time. A state has additive sums only. It is stored with each version of a learned policy.

- `effects`: what arms differ by within periods. Rewards may drift, as long as they do for all arms alike.
- `pooled`: the mean of each arm over all time. Right only if nothing drifts or weights stay.

All arithmetic is +, -, *, / and square roots in a fixed order, so every machine gets the same bits (IEEE 754). Sums are
exact (`fsum`), because `sum` rounds differently in other versions of Python.
"""
