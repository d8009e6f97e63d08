"""How to fine-tune a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from napari_smse.workflows.settings.option import Option

Loss = Literal["pair", "triplet", "none"]
TrainableLayers = Literal["head", "augmented head", "stage", "all"]
Classification = Literal["cross-entropy", "focal", "reinforced focal"]
Mining = Literal["semi-hard", "hard", "none"]


@dataclass(frozen=True)
class FineTuneSettings:
    """How to fine-tune; None is what the recipe has for the layers that are trained."""

    loss: Annotated[
        Loss,
        Option(
            "Loss",
            "Similarity loss: what tiles of one class are to be nearer than. Pairs learn most "
            "from stored embeddings, and forget least.",
            choices={"pair": "Pair", "triplet": "Triplet", "none": "None: class head only"},
        ),
    ] = "pair"
    trainable: Annotated[
        TrainableLayers,
        Option(
            "Trainable layers",
            "The heads learn in seconds from embeddings that are stored (head), in a minute from "
            "all that the trunk sees of augmented tiles (augmented head); the trunk's last stage "
            "(stage) or all layers (all) take minutes and longer. All but the first score the "
            "slides again.",
            choices={
                "head": "Heads (cached embeddings)",
                "augmented head": "Heads (augmented tiles)",
                "stage": "Last stage",
                "all": "All layers",
            },
        ),
    ] = "head"
    replay_weight: Annotated[
        float,
        Option(
            "Replay weight",
            "Reduces forgetting: weight of the model's own exemplars, or of its features where a "
            "trunk is trained, among what is learnt; 0: what it knew may be forgotten.",
            maximum=10.0,
            step=0.1,
        ),
    ] = 1.0
    steps: Annotated[
        int | None,
        Option("Steps", "Number of training steps.", 1, 100_000, 1, advanced=True),
    ] = None
    time_limit: Annotated[
        float | None,
        Option(
            "Time limit",
            "Time to learn for at most; the best so far is kept.",
            1.0,
            36_000.0,
            unit="s",
            unset="none",
            advanced=True,
        ),
    ] = None
    classification: Annotated[
        Classification,
        Option(
            "Class loss",
            "Loss of the class head: focal losses weigh hard tiles more, and the reinforced one "
            "rare classes, too.",
            choices={
                "cross-entropy": "Cross-entropy",
                "focal": "Focal",
                "reinforced focal": "Reinforced focal",
            },
            advanced=True,
        ),
    ] = "cross-entropy"
    margin: Annotated[
        float | None,
        Option(
            "Margin",
            "How far apart tiles of different classes are to lie at least: in squared distance "
            "for triplets, in distance for pairs.",
            0.1,
            2.0,
            0.1,
            advanced=True,
        ),
    ] = None
    mining: Annotated[
        Mining,
        Option(
            "Mining",
            "Which pairs or triplets of a batch count: semi-hard, the hardest, or any at random.",
            choices={"semi-hard": "Semi-hard", "hard": "Hard", "none": "None: random"},
            advanced=True,
        ),
    ] = "semi-hard"
    learning_rate: Annotated[
        float | None,
        Option("Learning rate", "Learning rate of the heads.", 0.0001, 1.0, 0.0001, advanced=True),
    ] = None
    crops: Annotated[
        int | None,
        Option(
            "Augmented crops",
            "Number of augmented crops of each tile or image that the heads learn from. By "
            "default about a minute's worth for images and augmented heads; 0, stored embeddings "
            "alone, for annotated slides.",
            0,
            64,
            1,
            advanced=True,
        ),
    ] = None

    @property
    def layers(self) -> Literal["head", "stage", "all"]:
        """The layers that are trained, as a recipe has them."""
        return "head" if self.trainable == "augmented head" else self.trainable

    @property
    def uses_stored_embeddings(self) -> bool:
        """Whether nothing but the embeddings of a run is learnt from."""
        return self.trainable == "head" and not self.crops

    def crops_of(self, images: int, *, stored: bool) -> int:
        """Return how many augmented crops of each image to learn from; 0 for none.

        Parameters
        ----------
        images
            How many there are.
        stored
            Their embeddings are at hand.
        """
        from napari_smse.finetuning.feature_heads import default_crops

        if self.layers != "head":
            return 0
        if self.crops is not None:
            return self.crops
        return 0 if stored and self.trainable == "head" else default_crops(images)
