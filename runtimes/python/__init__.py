"""Models that are code of their authors: a Python class, or what MLflow loads. They run in processes of their own."""
