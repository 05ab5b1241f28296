"""Who must have signed a version: the owner of a key, or an identity that sigstore has certified."""
