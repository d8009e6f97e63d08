"""WSInfer's model zoo: the names of its models, in the hub's cache or downloaded when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from napari_smse.errors import ModelNotFoundError
from napari_smse.models.wsinfer.configuration import CONFIGURATION_NAME

ACCOUNT: Final = "kaczmarj"
ZOO: Final[dict[str, str]] = {
    "breast-tumor-resnet34.tcga-brca": "breast: tumour",
    "lung-tumor-resnet34.tcga-luad": "lung: growth patterns of adenocarcinoma",
    "prostate-tumor-resnet34.tcga-prad": "prostate: Gleason grades",
    "pancreas-tumor-preactresnet34.tcga-paad": "pancreas: tumour",
    "pancancer-lymphocytes-inceptionv4.tcga": "any organ: lymphocytes",
    "lymphnodes-tiatoolbox-resnet50.patchcamelyon": "lymph nodes: metastases of breast",
    "colorectal-tiatoolbox-resnet50.kather100k": "colon and rectum: tissue",
    "colorectal-resnet34.penn": "colon and rectum: tissue",
}
"""What its models judge, by name (the registry as of January 2024, which has not changed since)."""
_FILES: Final = (CONFIGURATION_NAME, "*.pt", "model.safetensors", "README.md")


def cached_folder(name: str) -> Path | None:
    """Return the folder of a model of the zoo in the hub's cache; None if it is not there."""
    if name not in ZOO:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(f"{ACCOUNT}/{name}", CONFIGURATION_NAME)
    return Path(found).parent if isinstance(found, str) else None


def download(name: str) -> Path:
    """Download a model of the zoo into the hub's cache, and return its folder.

    Raises
    ------
    ModelNotFoundError
        The hub cannot be reached, or does not have it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository = f"{ACCOUNT}/{name}"
    try:
        return Path(snapshot_download(repository, allow_patterns=list(_FILES)))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelNotFoundError(
            f"{repository} cannot be downloaded ({type(error).__name__}): download it elsewhere, "
            "and give its folder."
        ) from error
