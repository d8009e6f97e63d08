"""Models passed on by the Hugging Face hub."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from napari_smse.errors import ModelError
from napari_smse.models.card import EXEMPLARS_SUFFIX, OOD_REFERENCE_SUFFIX
from napari_smse.models.model_files import model_paths, read_card
from napari_smse.models.model_readme import README_NAME, model_readme
from napari_smse.models.wsinfer import is_wsinfer_model


def files_to_push(model: str | Path) -> list[Path]:
    """Return the files of a model that are passed on: weights, card, and what lies beside them.

    Of a model in WSInfer's format, all of its folder.

    Raises
    ------
    ModelError
        It is an encoder, which is somebody else's to pass on.
    """
    if is_wsinfer_model(model):
        return sorted(path for path in Path(model).iterdir() if path.is_file())
    if not read_card(model).knows_classes:
        raise ModelError(f"{model} is an encoder: its authors pass it on.")
    weights, card = model_paths(model)
    beside = (card.with_suffix(end) for end in (EXEMPLARS_SUFFIX, OOD_REFERENCE_SUFFIX))
    return [weights, card, *(path for path in beside if path.is_file())]


def push(model: str | Path, repository: str, *, private: bool = True) -> str:
    """Upload a model to the hub with a README, and return its address.

    Parameters
    ----------
    model
        A name or a path, or the folder of a model in WSInfer's format.
    repository
        ``ACCOUNT/NAME``; it is made if it is not there.
    private
        Whether a new repository is seen by its owner alone.

    Raises
    ------
    ModelError
        The hub cannot be reached, or does not take it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    files = files_to_push(model)
    with tempfile.TemporaryDirectory(prefix="napari-smse-") as made:
        folder = Path(made)
        for path in files:
            shutil.copy(path, folder / path.name)
        if not (folder / README_NAME).exists():
            card = read_card(model)
            readme = model_readme(card, f"{card.trained_scales} um/px", tags=("napari-smse",))
            (folder / README_NAME).write_text(readme, encoding="utf-8")
        try:
            hub = HfApi()
            hub.create_repo(repository, private=private, exist_ok=True)
            hub.upload_folder(repo_id=repository, folder_path=folder)
        except (HfHubHTTPError, OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(
                f"{repository} cannot be written ({reason}): log in with `hf auth login`, and give "
                "ACCOUNT/NAME of an account of yours."
            ) from error
    return f"huggingface.co/{repository}"
