"""Hostile clients and providers: what they send, and what must hold whatever that is."""
