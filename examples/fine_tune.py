"""Adapt a model to annotations, and see what that was worth on tiles held out.

Run it from anywhere: python examples/fine_tune.py [FOLDER FOR THE MODEL]
"""

import sys
import tempfile
from pathlib import Path

import napari_smse as smse

ROOT = Path(__file__).resolve().parent.parent
out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())

slide = smse.open_slide(ROOT / "sample_data" / "sample_slide.tif")
notes = smse.read_annotations(ROOT / "examples" / "sample_regions.geojson", slide)
model = smse.load_model("bundled")
scores = smse.score(slide, model, mpp=0.5, out=out / "scores.zarr")

# What to annotate next, and which labels to look at again?
for one in smse.suggest_tiles([(scores, notes)], n=3):
    print("annotate next:", one.tile.region, one.called, f"{one.probability:.2f}")
issues = smse.find_label_issues([(scores, notes)])
print(f"{issues.doubted} of {issues.annotated} annotated tiles are doubtful")

# On a single slide whole regions are held out; with several slides, whole slides.
tuned = smse.fine_tune(model, [(slide, scores, notes)], loss="triplet", steps=100)
print(tuned)
for name, difference in tuned.difference.items():
    print(f"{name}: {tuned.before[name].value} -> {tuned.after[name].value} ({difference.value})")
for warning in tuned.warnings:
    print("note:", warning)

path = tuned.save(out / "my_model", overwrite=True)
print("saved:", path, smse.load_model(path))
