"""A store in one SQLite file, shared by the replicas of a machine."""
