#!/bin/sh
# Installs each peer into an environment of its own: make_environments.sh FOLDER
# wsinfer 0.6.1 states no upper bounds, but is written for zarr 2 and for tiffslide before 2.5.
# TIAToolbox 2.1.3 asks for torch before 2.13 itself.
set -eu
folder=${1:?say which folder to make them in}
python=${PYTHON:-python3}
mkdir -p "$folder"

install() {
    name=$1
    shift
    "$python" -m venv "$folder/$name"
    "$folder/$name/bin/python" -m pip install --quiet "$@"
    "$folder/$name/bin/python" -m pip freeze > "$folder/$name/installed.txt"
}

install wsinfer "wsinfer==0.6.1" "torch==2.14.1" "torchvision==0.29.1" \
    "zarr<3" "tiffslide<2.5" openslide-python openslide-bin
install tiatoolbox "tiatoolbox==2.1.3"
install lazyslide "lazyslide==0.13.0" "torch==2.14.1" "torchvision==0.29.1" openslide-python openslide-bin
