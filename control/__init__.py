"""The store seam: versioned documents with compare-and-set, and what each replica reports of itself."""
