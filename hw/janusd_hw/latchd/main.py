"""janus-latchd from the command line: the only place that names libgpiod."""

from __future__ import annotations

import os
import pwd
import socket
import sys

from janusd.errors import ConfigError
from janusd_hw.latchd import settings as configuration
from janusd_hw.latchd.lines import Gpiod
from janusd_hw.latchd.loop import Latchd, log

EXIT_CONFIG, EXIT_FAULT = 78, 1
MEANINGS = {0: "stopped as asked", EXIT_CONFIG: "FILE is wrong", EXIT_FAULT: "something else is"}
HELP = f"""\
usage: janus-latchd [-h] [FILE]

Hold the lock, the exit button and the sensors of a door, and release the lock when janusd asks for it.
FILE says which lines they are (default: {configuration.DEFAULT_PATH}); systemd starts this.

Exit status: {", ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items())}; why stands on stderr."""


def main(arguments: list[str] | None = None, gpiod: Gpiod = None) -> int:
    """Run `janus-latchd [FILE]` and give its exit status; `gpiod` stands in for libgpiod in tests."""
    path, *_ = *(sys.argv[1:] if arguments is None else arguments), configuration.DEFAULT_PATH
    if path in ("-h", "--help", "--version"):
        print(HELP)
        return 0
    try:
        settings = configuration.load(path)
        uids = {0, os.geteuid(), pwd.getpwnam(settings.user).pw_uid}
        if gpiod is None:
            import gpiod  # noqa: PLC0415 - a stand-in needs none
        Latchd(settings, _listener(settings.socket), uids, gpiod).run()
    except (ConfigError, KeyError, OSError, ImportError) as error:  # KeyError: there is no such user
        log(f"janus-latchd with {path}: {error}")
        return EXIT_CONFIG if isinstance(error, ConfigError | KeyError) else EXIT_FAULT
    return 0


def _listener(path: str) -> socket.socket:
    """Give the socket that systemd made (sd_listen_fds(3)), or make it."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        sock = socket.socket(fileno=3)
    else:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.path.exists(path):
            os.unlink(path)
        sock.bind(path)
        os.chmod(path, 0o660)
        sock.listen()
    sock.setblocking(False)
    return sock


if __name__ == "__main__":
    sys.exit(main())
