"""Settings for all tests: hypothesis measures laws here, not how busy the machine is."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("janus", deadline=None, print_blob=True)
settings.load_profile("janus")
