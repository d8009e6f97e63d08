"""What augmentation changes, and what it must not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from napari_smse.datasets.crops import crop_at
from napari_smse.training.augmentation import (
    StainJitter,
    augmented_tile,
    colour_jittered,
    flipped,
    turned,
    whole_frame,
    with_glass,
)
from napari_smse.training.recipe import Recipe
from napari_smse.training.sampler import Crop
from napari_smse.training.seeding import generator_of, uniform

PLAIN = Recipe(stain=0.0, colour=0.0, blur=0.0, tile_px=32)


def picture(seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(30, 250, (60, 80, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def tile(*seed: int, recipe: Recipe = PLAIN) -> Tensor:
    return augmented_tile(picture(), 0.5, Crop(0, 0.5), recipe, generator_of(*seed))


def as_bytes(tensor: Tensor) -> bytes:
    return tensor.numpy().tobytes()


@pytest.mark.parametrize("seed", range(5))
def test_without_any_strength_a_tile_is_a_turned_crop(seed: int) -> None:
    generator = generator_of(seed)
    place = uniform(0, 1, generator), uniform(0, 1, generator)
    crop = torch.from_numpy(crop_at(picture(), 0.5, 0.5, place, 32).copy()).permute(2, 0, 1)
    found = [
        quarters + 4 * mirrored
        for quarters in range(4)
        for mirrored in (False, True)
        if torch.equal(
            tile(seed), torch.rot90(crop.flip(2) if mirrored else crop, quarters, (1, 2))
        )
    ]
    assert len(found) == 1


def test_all_eight_positions_come() -> None:
    plain = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
    seen = {as_bytes(turned(plain, generator_of(seed)).contiguous()) for seed in range(100)}
    assert len(seen) == 8
    frame = torch.arange(18, dtype=torch.uint8).reshape(3, 2, 3)
    found = [flipped(frame, generator_of(seed)).contiguous() for seed in range(60)]
    assert {one.shape for one in found} == {(3, 2, 3)}
    assert len({as_bytes(one) for one in found}) == 4


def test_a_tile_repeats_with_its_seed_whatever_the_global_generator_does() -> None:
    recipe = Recipe(tile_px=32)
    torch.manual_seed(1)
    first = tile(5, 6, 7, recipe=recipe)
    before = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(first, tile(5, 6, 7, recipe=recipe))
    torch.manual_seed(1)
    tile(5, 6, 7, recipe=recipe)
    assert torch.equal(torch.get_rng_state(), before)
    for other in ((4, 6, 7), (5, 7, 7), (5, 6, 8)):
        assert not torch.equal(first, tile(*other, recipe=recipe))
    assert first.dtype == torch.uint8
    assert first.shape == (3, 32, 32)


def test_stain_jitter_of_no_strength_changes_nothing() -> None:
    image = torch.randint(0, 256, (2, 3, 9, 7), dtype=torch.uint8)
    assert torch.equal(StainJitter(0.0)(image), image)
    floats = torch.rand(3, 9, 7) * 255
    torch.testing.assert_close(StainJitter(0.0)(floats), floats, rtol=0, atol=2e-3)


def test_stain_jitter_is_a_transform_that_composes() -> None:
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    both = v2.Compose([StainJitter(1.0, generator_of(1)), v2.RandomHorizontalFlip(1.0)])
    expected = StainJitter(1.0, generator_of(1))(image).flip(2)
    assert torch.equal(both(image), expected)
    assert not torch.equal(expected, image.flip(2))


def test_stain_jitter_gives_the_same_for_bytes_and_floats() -> None:
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    whole = StainJitter(1.0, generator_of(2))(image)
    floats = StainJitter(1.0, generator_of(2))(image.float())
    assert floats.dtype == torch.float32
    assert (whole.float() - floats).abs().max() <= 0.5


@pytest.mark.parametrize("seed", range(20))
def test_stain_jitter_keeps_dark_tissue_darker(seed: int) -> None:
    image = torch.tensor([220, 170, 200], dtype=torch.uint8).view(3, 1, 1).repeat(1, 8, 8)
    image[:, 2:6, 2:6] = torch.tensor([90, 60, 140], dtype=torch.uint8).view(3, 1, 1)
    changed = StainJitter(1.0, generator_of(seed))(image).int()
    assert changed[:, 0, 0].sum() > changed[:, 4, 4].sum()
    # Pixels of one colour stay of one colour.
    assert (changed[:, 2:6, 2:6] == changed[:, 2:3, 2:3]).all()


def test_stain_jitter_grows_with_its_strength() -> None:
    image = torch.randint(60, 240, (3, 16, 16), dtype=torch.uint8)

    def change(strength: float) -> float:
        found = [StainJitter(strength, generator_of(seed))(image).float() for seed in range(20)]
        return float(torch.stack([(one - image.float()).abs().mean() for one in found]).mean())

    assert 0 < change(0.1) < change(0.5) < change(1.0)


def test_colour_jitter_stays_within_its_strength() -> None:
    grey = torch.full((3, 4, 4), 100, dtype=torch.uint8)
    assert torch.equal(colour_jittered(grey, 0.0, generator_of(0)), grey)
    means = [float(colour_jittered(grey, 0.1, generator_of(s)).float().mean()) for s in range(50)]
    # Only brightness changes a grey picture.
    assert 89 <= min(means) < 95
    assert 105 < max(means) <= 111


def test_blur_softens_the_share_it_is_asked_for() -> None:
    soft = PLAIN.model_copy(update={"blur": 0.5})
    changed = [not torch.equal(tile(s), tile(s, recipe=soft)) for s in range(40)]
    assert 10 < sum(changed) < 30
    always = PLAIN.model_copy(update={"blur": 1.0})
    for seed in range(5):
        plain, blurred = tile(seed).float(), tile(seed, recipe=always).float()
        assert blurred.std() < plain.std()
        assert blurred.mean() == pytest.approx(float(plain.mean()), abs=3)


def test_a_frame_of_the_right_size_is_untouched_and_others_are_resized() -> None:
    pixels = np.asarray(picture())
    frame = whole_frame(picture(), (60, 80))
    assert (frame.permute(1, 2, 0).numpy() == pixels).all()
    assert whole_frame(picture(), (46, 70)).shape == (3, 46, 70)


def test_glass_covers_a_part_of_a_tile_and_leaves_the_rest() -> None:
    tissue = torch.full((3, 64, 64), 120, dtype=torch.uint8)
    shares = []
    for seed in range(20):
        covered = with_glass(tissue, 1.0, generator_of(seed))
        assert covered.dtype == torch.uint8
        glass = covered.float().mean(dim=0) > 200
        untouched = (covered == tissue).all(dim=0)
        assert (glass | untouched).float().mean() > 0.75  # the rest is the soft edge
        shares.append(float(untouched.float().mean()))
    assert min(shares) < 0.4
    assert max(shares) > 0.7
    assert all(0.1 < share < 0.97 for share in shares)


def test_glass_is_on_the_share_of_tiles_asked_for_and_on_none_without() -> None:
    tissue = torch.full((3, 32, 32), 120, dtype=torch.uint8)
    touched = [
        not torch.equal(with_glass(tissue, 0.3, generator_of(seed)), tissue) for seed in range(200)
    ]
    assert 0.2 < np.mean(touched) < 0.4
    generator = generator_of(1)
    before = generator.get_state()
    assert with_glass(tissue, 0.0, generator) is tissue
    assert torch.equal(generator.get_state(), before)


def test_a_covered_crop_is_the_plain_one_with_glass_on_it() -> None:
    plain = tile(5)
    covered = tile(5, recipe=PLAIN.model_copy(update={"glass": 1.0}))
    same = (plain == covered).all(dim=0)
    assert 0.05 < same.float().mean() < 0.99
