"""From cached faces to a trained student."""
