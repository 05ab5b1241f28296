"""From a registry to verified, loaded, READY versions. Never moves traffic itself."""
