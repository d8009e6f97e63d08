#!/usr/bin/env bash
# Scores the sample slide at two scales and, where there is a network, a small real one; says where
# the results are, and shows them where there is a screen.
set -euo pipefail

slide=sample_data/sample_slide.tif
out=demo_output
smse=.venv/bin/napari-smse

has_screen() {
  case $(uname -s) in
    Linux) [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] ;;
    *) true ;;
  esac
}

slides=("$slide")
if real=$(.venv/bin/python scripts/fetch_real_slide.py "$out/slides"); then
  slides=("$real" "$slide")
fi

# The folder is the demo's own, and an older model may have left its scores there.
"$smse" score "${slides[@]}" --out "$out" --mpp 0.5 --mpp 0.25 --overwrite

cat <<END

Results are in $out, a folder for each slide:
  heatmap.png      the maps as one picture
  tiles.parquet    one row a tile (tiles.csv alike)
  scores.zarr      embeddings and probabilities
  run.json         versions, model, device, um/px
Research use only. The sample slide is drawn, not tissue: its map shows that the machinery runs, not a diagnosis.

END

if has_screen; then
  echo "Opening napari on ${slides[0]} ..."
  exec "$smse" view "${slides[0]}"
fi
echo "There is no screen here, so napari stays closed. Where there is one: $smse view ${slides[0]}"
