"""From a trained student to a signed int8 release."""
