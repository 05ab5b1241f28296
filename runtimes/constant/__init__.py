"""What answers for an arm without a model: a value of the route."""
