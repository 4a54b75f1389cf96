"""How good a released encoder is, measured on the path a door takes."""
