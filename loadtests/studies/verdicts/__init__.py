"""Simulations of guardrails: how often they abort an arm that is not worse, and how soon they find one that is."""
