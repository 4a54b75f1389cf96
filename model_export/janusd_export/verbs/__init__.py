"""One module a verb of `janus-export`: what it takes, and what it runs."""
