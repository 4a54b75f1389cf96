"""Our own face detector: scenes to learn from, two small networks, their int8 files, their figures."""
