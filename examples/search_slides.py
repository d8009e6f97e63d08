"""Put slides into an index, and find tissue like that of a region in all of them.

Run it from anywhere: python examples/search_slides.py [FOLDER FOR THE INDEX]
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image

import napari_smse as smse

ROOT = Path(__file__).resolve().parent.parent
out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())

slide = smse.open_slide(ROOT / "sample_data" / "sample_slide.tif")
notes = smse.read_annotations(ROOT / "sample_data" / "sample_annotations.geojson", slide)
model = smse.load_model("bundled")

# A second slide: the right half of the first as a picture, which does not state its um/px.
half = replace(slide.bounds, x=slide.width // 2, width=slide.width // 2)
Image.fromarray(slide.read(half, slide.mpp)).save(out / "right_half.png")
picture = smse.open_slide(out / "right_half.png", mpp=slide.mpp)

index = smse.SlideIndex.open(out / "index")
scored = []
for one in (slide, picture):
    scores = smse.score(one, model, mpp=0.5, out=out / f"{one.name}.zarr")
    print(one.name, index.add(one, scores))
    scored.append(scores)

# Tissue like that of a region: on its own slide ...
region = notes.regions()["Malignant-like"]
found = smse.find_similar(scored[0], region)
print(f"{len(found.like)} tiles looked for, nearest other at {found.nearest[0]:.2f}")

# ... and in all slides of the index, but not where it was taken from.
answer = index.search(
    scored[0].embeddings()[found.like.rows], k=20, mpp=0.5, without=(slide, region)
)
for hits in answer.slides:
    best = hits.hits[0]
    print(f"{hits.slide.name}: {len(hits.hits)} tiles, {best.distance:.2f} at {best.region}")

# Do the embeddings tell slides apart, rather than tissue?
made = smse.embedding_map(scored, method="pca")
print("map:", made.points.shape, *made.axes)
print(smse.batch_effect(scored).effect)
