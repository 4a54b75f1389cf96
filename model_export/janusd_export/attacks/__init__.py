"""Attacks at a door that was drawn: SIMULATED, every one of them."""
