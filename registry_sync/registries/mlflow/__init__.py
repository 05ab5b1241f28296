"""A registry in MLflow 3, read and written over its REST API. The package `mlflow` is not needed."""
