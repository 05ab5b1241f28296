"""The store: versioned documents with compare-and-set, additive sums, API keys, and reports of replicas."""
