#!/bin/sh
# Installs napari-smse without napari and Qt into the Python on the path, from the source folder that this lies in.
#   EXTRAS       extras to install, too, such as "cluster remote openvino"
#   TORCH_INDEX  address of the index that has another build of torch, such as the one for CPUs (a tenth of the size), as PyTorch's own
#                installation page names it; by default the build for CUDA, which runs on CPUs, too
set -eu
cd "$(dirname "$0")/.."

requirements=$(mktemp)
trap 'rm -f "$requirements"' EXIT
arguments=$(for extra in ${EXTRAS:-}; do echo "--extra $extra"; done)
python scripts/requirements.py $arguments > "$requirements"

# The versions that the tests pass with; a torch that is there already stays.
install="python -m pip install --no-cache-dir --disable-pip-version-check --constraint .ci/constraints.txt"
if [ -n "${TORCH_INDEX:-}" ]; then
  $install --index-url "$TORCH_INDEX" torch torchvision
fi
$install --requirement "$requirements"
$install --no-deps .
