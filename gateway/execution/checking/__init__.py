"""The chain of checks of one version, in a process with limits: before it is published, adopted, or loaded."""
