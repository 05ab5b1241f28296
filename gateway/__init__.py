"""The process: the door, the protocols, prediction, operation, metrics and the command line."""
