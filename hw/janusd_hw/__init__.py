"""Drivers for the hardware a door may have, and the fakes that stand in for it."""
