"""From a model's files to a version of a registry: read, understood, checked by loading, and written whole."""
