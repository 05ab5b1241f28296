"""A model version in a child process of the replica."""
