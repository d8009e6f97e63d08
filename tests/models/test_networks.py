"""The two networks."""

from __future__ import annotations

import pytest
import torch

from napari_smse.models import NetworkOutput, SmseCnn, SmseNetwork
from napari_smse.models.smse_network import initialise_from_features


@pytest.fixture(scope="module")
def network() -> SmseNetwork:
    torch.manual_seed(0)
    return SmseNetwork(embedding_dim=16, classes=3).eval()


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (4, 3, 64, 64), generator=generator, dtype=torch.uint8)


def test_embeddings_have_length_one(network: SmseNetwork, images: torch.Tensor) -> None:
    with torch.inference_mode():
        output = network(images)
    assert isinstance(output, NetworkOutput)
    assert output.embedding.shape == (4, 16)
    assert output.logits.shape == (4, 3)
    torch.testing.assert_close(output.embedding.norm(dim=1), torch.ones(4))


def test_uint8_and_float_images_give_the_same(network: SmseNetwork, images: torch.Tensor) -> None:
    with torch.inference_mode():
        one, other = network(images), network(images.float())
    assert torch.equal(one.logits, other.logits)


def test_outputs_are_float32_under_autocast(network: SmseNetwork, images: torch.Tensor) -> None:
    with torch.inference_mode():
        exact = network(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = network(images)
    assert output.embedding.dtype == output.logits.dtype == torch.float32
    torch.testing.assert_close(output.embedding, exact.embedding, rtol=0, atol=0.1)


def test_channels_last_changes_nothing(network: SmseNetwork, images: torch.Tensor) -> None:
    torch.manual_seed(0)
    last = SmseNetwork(embedding_dim=16, classes=3).eval().to(memory_format=torch.channels_last)
    last.load_state_dict(network.state_dict())
    with torch.inference_mode():
        expected = network(images)
        output = last(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(output.logits, expected.logits, rtol=0, atol=1e-4)


def test_the_class_is_read_off_the_embedding_alone(network: SmseNetwork) -> None:
    features = torch.rand(2, 1280)
    one, other = network.head(features), network.head(features * 3 + 0)
    # Bias aside, longer features point the same way; what matters is that logits follow.
    torch.testing.assert_close(one.logits, network.class_head(one.embedding))
    torch.testing.assert_close(other.logits, network.class_head(other.embedding))


def test_the_papers_network_has_the_papers_parameters() -> None:
    assert sum(parameter.numel() for parameter in SmseCnn().parameters()) == 602_035


def test_the_papers_network_takes_the_papers_images() -> None:
    images = torch.randint(0, 256, (2, 3, 460, 700), dtype=torch.uint8)
    with torch.inference_mode():
        output = SmseCnn()(images)
    assert output.embedding.shape == (2, 12)
    assert output.logits.shape == (2, 2)
    assert output.logits.dtype == torch.float32
    assert not torch.allclose(output.embedding.norm(dim=1), torch.ones(2), atol=1e-3)


def test_the_papers_network_refuses_other_sizes() -> None:
    with pytest.raises(ValueError, match="460, 700"):
        SmseCnn()(torch.zeros(1, 3, 224, 224))


def test_the_papers_network_has_no_batch_normalisation() -> None:
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in SmseCnn().modules())


@pytest.mark.parametrize("crops", [1, 2, 5, 40])
def test_an_embedding_starts_from_however_few_crops_there_are(crops: int) -> None:
    torch.manual_seed(0)
    network = SmseNetwork(embedding_dim=16)
    before = network.embedding_head.weight.detach().clone()
    features = torch.rand(crops, network.trunk.features)
    initialise_from_features(network, features)
    weight = network.embedding_head.weight.detach()
    assert weight.isfinite().all()
    changed = (weight != before).any(dim=1)
    assert changed.tolist() == [number < min(crops, 16) and crops > 1 for number in range(16)]
    if crops > 16:
        embedded = network.head(features).embedding
        # Whitened, so no direction is shared by all.
        assert embedded.mean(dim=0).abs().max() < 0.1
