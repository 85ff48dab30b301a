"""Datasets, whole, as tensors in memory."""

from dataclasses import dataclass, replace

from jaxtyping import Float32, Int64
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Points and what a network should answer to them.

    Attributes:
        inputs: one row a point; of images the pixels in [0, 1] (grey level / 255), flattened.
        targets: the class of each point, or for regression its targets as a row.
    """

    inputs: Float32[Tensor, "points features"]
    targets: Int64[Tensor, "points"] | Float32[Tensor, "points outputs"]

    def first(self, num_points: int) -> "Split":
        """Return the first points, or all where there are fewer; nothing is copied.

        Raises:
            ValueError: num_points is below 1.
        """
        if num_points < 1:
            raise ValueError(f"num_points is {num_points}: expected at least 1")
        return Split(self.inputs[:num_points], self.targets[:num_points])


@dataclass(frozen=True)
class Dataset:
    """What networks are trained on and what they are tested on.

    Attributes:
        train: trained on.
        test: never trained on.
        num_classes: of a classification, which are numbered from 0; None for a regression.
    """

    train: Split
    test: Split
    num_classes: int | None

    @property
    def num_inputs(self) -> int:
        """The number of features of a point."""
        return self.train.inputs.shape[1]

    @property
    def num_outputs(self) -> int:
        """The outputs that a network needs: one logit a class, or one number a regression target."""
        return self.train.targets.shape[1] if self.num_classes is None else self.num_classes

    @property
    def is_classification(self) -> bool:
        """Whether the targets are classes."""
        return self.num_classes is not None

    def first(self, num_points: int) -> "Dataset":
        """Return the dataset with the first of its training points only (see `Split.first`)."""
        return replace(self, train=self.train.first(num_points))

    def with_labels(self, labels: Int64[Tensor, "points"]) -> "Dataset":
        """Return the dataset with other classes for its training points; the test points keep theirs.

        Raises:
            ValueError: it is a regression, or the labels are not one class for each training point.
        """
        if self.num_classes is None:
            raise ValueError("labels are for a classification: this dataset is a regression")
        if len(labels) != len(self.train.targets):
            raise ValueError(f"{len(labels)} labels for {len(self.train.targets)} training points")
        if not 0 <= int(labels.min()) <= int(labels.max()) < self.num_classes:
            raise ValueError(
                f"labels run from {int(labels.min())} to {int(labels.max())}: expected 0 to "
                f"{self.num_classes - 1}"
            )
        return replace(self, train=Split(self.train.inputs, labels))
