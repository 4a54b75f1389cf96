#!/usr/bin/env bash
# Make a virtual environment with janusd and its tests, everything pinned: setup.sh PYTHON VENV [tflite-runtime|export]
set -euo pipefail
python=$1 venv=$2 variant=${3:-}

as_root_install() { # packages: install Debian packages where that is possible, else say which are wanted
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
      >/dev/null 2>&1 && return 0
  fi
  echo "  not installed: $* (as root: apt-get install $*)" >&2
  return 1
}

if [ -z "$python" ]; then
  as_root_install python3-venv || true
  python=python3
  "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "janusd needs Python 3.11 or newer with venv: install it (Debian: apt-get install python3-venv)" >&2
    exit 1
  }
fi

echo "setting up $venv with $("$python" --version) ..."
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

pip install --quiet 'pip==25.3'
if [ "$variant" = tflite-runtime ]; then
  pip install --quiet -c tests/constraints-tflite-runtime.txt -e '.[tflite-runtime]' pytest hypothesis
elif [ "$variant" = export ]; then
  # torch first and alone: a resolver that has to go back may otherwise take another build. PyPI's for Linux
  # brings gigabytes of CUDA; the one for processors (0.2 GB) is on torch's own page. JANUS_CUDA=1 takes PyPI's.
  for_processors() { pip install --quiet --no-deps --retries 1 "$@" torch==2.13.0+cpu 2>/dev/null; }
  [ -n "${JANUS_CUDA:-}" ] || for_processors \
    || for_processors --no-index --find-links https://download.pytorch.org/whl/cpu/torch/ \
    || echo "  torch 2.13.0+cpu was not to be had: taking PyPI's (for Linux with CUDA, some gigabytes)" >&2
  pip install --quiet -c tests/constraints-export.txt torch==2.13.0
  pip install --quiet -c tests/constraints-export.txt -e '.[export]' pytest hypothesis
else
  pip install --quiet -c constraints.txt -e . --group dev
  # python-systemd builds against libsystemd; without it the daemon runs, but tells systemd nothing.
  if ! "$venv/bin/python" -c 'import systemd.daemon' 2>/dev/null; then
    pkg-config --exists libsystemd 2>/dev/null || as_root_install libsystemd-dev pkg-config || true
    pip install --quiet -c constraints.txt -e '.[systemd]' >/dev/null 2>&1 \
      || echo "  systemd-python was not built: sd_notify stays untested here" >&2
  fi
fi
