"""janus-latchd: the small process that alone has the GPIO lines (docs/adr/0008)."""
