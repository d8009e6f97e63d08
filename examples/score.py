"""Score a slide at two scales, look at the result, and save it.

Run it from anywhere: python examples/score.py [FOLDER FOR THE RESULTS]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import napari_smse as smse

SAMPLE = Path(__file__).resolve().parent.parent / "sample_data"
out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())

slide = smse.open_slide(SAMPLE / "sample_slide.tif")
model = smse.load_model("bundled")
print(slide)
print(model, "trained at", *model.card.mpp_range, "um/px")


def show(progress):
    """Say how far it is; an exception raised here would stop the run."""
    if progress.message:
        print(progress.message)


scores = smse.score(slide, model, mpp=[1.0, 0.5], out=out / "scores.zarr", progress=show)
table = scores.table()
print(scores, table.column_names)

# Where is it most likely malignant, and how far is the model to be believed there?
row = int(scores.probability("malignant").argmax())
region, mpp = scores.region(row), table["mpp"][row].as_py()
unlike = smse.out_of_distribution(scores, slide, model)
print(f"P = {scores.probability('malignant')[row]:.2f} at {region}, {mpp} um/px")
print(f"unlike the training data: {unlike[row]:.2f} (above 1, do not believe it)")
tile = slide.read(region, mpp)
print("its pixels:", tile.shape)

# Why? The exemplars most like it, at every scale.
bank = smse.ExemplarBank.of_model(model)
for found in smse.explain(scores, region.x + 10, region.y + 10, bank):
    shares = {name: round(share, 2) for name, share in found.evidence.shares.items()}
    print(f"{found.mpp} um/px: vote of the nearest {len(found.evidence.nearest)}: {shares}")

heat_map = scores.fused("malignant")
print(f"map of {heat_map.values.shape}, mean {np.nanmean(heat_map.values):.2f}")
print("tables, picture and record:", scores.save(out / "sample_slide", geojson=True))
