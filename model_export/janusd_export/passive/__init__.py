"""Our own attack detection network: attacks that are simulated, the network that learns them, its figures."""
