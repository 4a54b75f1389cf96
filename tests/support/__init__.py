"""Stand-ins and harnesses that several test folders share."""
