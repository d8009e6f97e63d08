"""What is picked as a model, before it is chosen."""

from __future__ import annotations

import pytest

from napari_smse.errors import ModelError
from napari_smse.models.model_files import bundled_models
from napari_smse.workflows.models.check_model import check_model


@pytest.mark.parametrize("name", bundled_models())
def test_a_model_that_comes_with_the_program_is_picked_by_its_name(name: str) -> None:
    found = check_model(name)
    assert found.card.name == name
    assert check_model(found.path).card == found.card


def test_a_name_of_nothing_is_refused() -> None:
    with pytest.raises(ModelError, match="smse_v9"):
        check_model("smse_v9")
