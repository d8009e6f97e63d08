"""Train a model on labelled images, and measure others on them.

The images are cut from the sample slide, and the recipe is tiny, so that this takes seconds: it
shows how, and the figures mean nothing. Leave out the recipe for images of your own.

Run it from anywhere: python examples/train.py [FOLDER FOR IMAGES AND MODEL]
"""

import json
import sys
import tempfile
from pathlib import Path

from PIL import Image

import napari_smse as smse

ROOT = Path(__file__).resolve().parent.parent
out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())

# A folder of images with a table: class, case (patients, here pieces of the slide), um/px.
slide = smse.open_slide(ROOT / "sample_data" / "sample_slide.tif")
corners = {
    "benign": [(900, 1400), (1500, 1400), (900, 2000), (1500, 2000)],
    "malignant": [(3500, 1200), (4100, 1200), (3500, 1750), (4100, 1750)],
}
rows = ["path,label,case,um_per_px"]
whole = slide.read(slide.bounds, slide.mpp)
for label, some in corners.items():
    for number, (x, y) in enumerate(some):
        name = f"{label}_{number}.png"
        Image.fromarray(whole[y : y + 448, x : x + 448]).save(out / name)
        rows.append(f"{name},{label},{label} {number},{slide.mpp}")
(out / "images.csv").write_text("\n".join(rows) + "\n")
data = smse.read_dataset(out)
print(data.classes, data.count())

# What is the bundled model worth on them?
found = smse.evaluate(smse.load_model("bundled"), data)
print("bundled model, AUC:", found.summary.estimates["auc"])

recipe = out / "tiny.json"
tiny = {"steps": 4, "warm_up": 0, "cases_per_class": 2, "crops_per_case": 2, "embedding_dim": 8}
recipe.write_text(json.dumps({"learns": "head", **tiny}))
valid = smse.cross_validate(data, str(recipe), folds=2)
print("cross-validated, AUC:", valid.summary.estimates["auc"])


def show(progress):
    """Say which step it is."""
    print(f"step {progress.done} of {progress.total}")


made = smse.train(data, str(recipe), out=out / "model", progress=show, overwrite=True)
print(made.model, made.model.card.recipe["steps"], "steps, logs in", made.folder)
