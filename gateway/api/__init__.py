"""The FastAPI application: metadata, the operators' API, the OpenAPI page."""
