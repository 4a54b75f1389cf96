"""The demo: people who do not exist walk past a simulated door."""
