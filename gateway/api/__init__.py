"""The FastAPI application: metadata of routes, the operators' API, the OpenAPI page."""
