"""The operators' API: everything below `/api`."""
