#!/usr/bin/env bash
# Creates .venv, if need be, and installs this package into it with the extras given.
# Usage, from the project's root: scripts/make_environment.sh EXTRAS     (for example: all,test,dev)
# The environment variable PYTHON names the interpreter to start from.
set -euo pipefail

extras=$1
floor="3.11"

new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

choose_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    if new_enough "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  local found
  found=$("${PYTHON:-python3}" --version 2>&1 | head -n 1) || found="no Python"
  echo "napari-smse needs Python $floor or newer, and ${PYTHON:-python3} gives: $found." >&2
  echo "Install a newer one and say which: make PYTHON=/path/to/python$floor ..." >&2
  exit 1
}

if ! new_enough .venv/bin/python; then
  python=$(choose_python)
  echo "Creating .venv with $("$python" --version)"
  if ! "$python" -m venv --clear .venv; then
    rm -rf .venv
    echo "$python cannot create virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
  fi
fi

echo "Installing napari-smse[$extras] into .venv (with PyTorch this can be several GB and takes some minutes)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check "pip>=24"
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  --constraint .ci/constraints.txt --editable ".[$extras]"
