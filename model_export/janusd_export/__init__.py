"""Train, distil, quantize and measure janusd's networks. Offline: a door never imports this."""
