"""Settings for all tests."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Hypothesis measures laws here, not how busy the machine is.
# With JANUSD_SAME_EXAMPLES, as CI has it, every run draws the same examples: CI fails for what changed, and
# whoever runs `make test` searches on.
settings.register_profile(
    "janus", deadline=None, print_blob=True, derandomize=bool(os.environ.get("JANUSD_SAME_EXAMPLES"))
)
settings.load_profile("janus")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script, where Ctrl-C is ignored, and so in every child: tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # Started under nohup: likewise, and tests hang up.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
