"""The pure core: values in, values out. No file, device, clock or log is touched here."""
