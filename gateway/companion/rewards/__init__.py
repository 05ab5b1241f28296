"""Rewards, from a replica's socket to the sums: `client` is in the replicas, everything else in the companion.

`server` takes requests, `intake` answers one: `judge` checks each reward and `documents` knows by what, then
`committer` writes those of all requests that wait into the log and has them counted.
"""
