"""Folders that MLflow wrote: the file `MLmodel`, the signature, and the input example. MLflow itself is not needed."""
