"""One running door: what happens to each frame, and what may be asked while it runs."""
