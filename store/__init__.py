"""The store seam: versioned documents with compare-and-set, additive sums, API keys, replica reports."""
