"""The ends of paths through a network that stands by itself: of files, or of class pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from spaceprobe.data.dataset import Split
from spaceprobe.data.entry import format_shape
from spaceprobe.data.sets import DATASETS
from spaceprobe.errors import SettingsError
from spaceprobe.folding.engine import pair_among
from spaceprobe.model_sources.source import ModelSource, ModelSourceError
from spaceprobe.networks.entry import NetworkOptions
from spaceprobe.networks.models import NETWORKS
from spaceprobe.stages.fold.endpoints.class_pairs import (
    ClassPair,
    class_members,
    directed_pairs,
    images_per_class,
)
from spaceprobe.stages.fold.settings import folding_of, num_classes_of
from spaceprobe.stages.stage import Sections
from spaceprobe.stages.train.networks import load_data
from spaceprobe.stages.train.settings import data_of, network_of

DEFAULT_PATHS = 1_000
"""Chosen: how many paths are walked at most where nobody says how many."""


@dataclass(frozen=True)
class ChosenPaths:
    """Paths that are walked, and how many there were to choose from.

    Attributes:
        starts: points where paths start; shape ``(points, *input shape)``.
        ends: points where they end.
        source: of each path, which point of the starts; shape ``(paths,)``.
        target: of each path, which point of the ends.
        number: of each path, among those that there are.
        columns: what else tells paths apart, by the name of the column.
        num_possible: paths that there are.
    """

    starts: Tensor
    ends: Tensor
    source: np.ndarray
    target: np.ndarray
    number: np.ndarray
    columns: dict[str, np.ndarray]
    num_possible: int

    def __len__(self) -> int:
        """Return how many are walked."""
        return len(self.source)

    def block(self, paths: slice) -> tuple[Float64[Tensor, "paths ..."], Float64[Tensor, "paths ..."]]:
        """Return the two ends of some paths."""
        a, b = (
            points[torch.from_numpy(number[paths])].double()
            for points, number in ((self.starts, self.source), (self.ends, self.target))
        )
        return a, b


def draw(num_possible: int, num_asked: int | None, seed: int) -> np.ndarray:
    """Return the numbers of the paths that are walked, ascending: all, or so many of them, drawn.

    Args:
        num_possible: how many there are.
        num_asked: how many are asked for; None for `DEFAULT_PATHS` at most.
        seed: of the choice.
    """
    num_walked = min(num_possible, DEFAULT_PATHS if num_asked is None else num_asked)
    if num_walked == num_possible:
        return np.arange(num_possible)
    return np.sort(np.random.default_rng(seed).choice(num_possible, num_walked, replace=False))


def of_points(a: Tensor, b: Tensor, num_asked: int | None, seed: int) -> ChosenPaths:
    """Return the paths from each point to the same point of the others, or from or to a single one.

    Args:
        a: starts, of shape ``(points, *input shape)``.
        b: ends, as many or one; or any number, where there is one start.
        num_asked: see `draw`.
        seed: see `draw`.

    Raises:
        SettingsError: there are other numbers of them.
    """
    check_same_shape(a, b)
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise SettingsError(
            f"--from has {len(a)} points, --to {len(b)}: expected as many, or one on a side; cut one of them"
        )
    num_possible = max(len(a), len(b))
    number = draw(num_possible, num_asked, seed)
    source, target = (number if len(points) > 1 else np.zeros_like(number) for points in (a, b))
    return ChosenPaths(a, b, source, target, number, {}, num_possible)


def input_shape(source: ModelSource, points: Tensor, options: NetworkOptions) -> tuple[int, ...] | None:
    """Return the shape of an input for which an entry of `NETWORKS` is built; None for other networks.

    Points of several inputs are expected, or else one: an array of two dimensions is one grey image to a
    network of images, and several rows to an MLP.
    """
    if source.kind != "network":
        return None
    shapes = [points.shape[1:], points.shape] if points.ndim > 1 else [points.shape]
    for shape in shapes:
        try:
            NETWORKS[source.text].check(options, shape)
        except ValueError:
            continue
        return tuple(shape)
    return tuple(shapes[0])  # building the network tells what is wrong


def check_same_shape(a: Tensor, b: Tensor) -> None:
    """Check that the points of two files have one shape.

    Raises:
        SettingsError: they do not.
    """
    if a.shape[1:] != b.shape[1:]:
        raise SettingsError(
            f"--from has inputs of shape {format_shape(a.shape[1:])}, --to of {format_shape(b.shape[1:])}; "
            "give both one shape"
        )


def as_batch(points: Tensor, network: nn.Module, source: ModelSource, flag: str) -> Tensor:
    """Return the points of a file as a batch that a network takes: several inputs, or one.

    Args:
        points: of shape ``(points, *input shape)``, or of one input.
        network: in evaluation mode.
        source: what named it.
        flag: what names the file, to begin a message with.

    Raises:
        ModelSourceError: the network takes neither.
    """
    dtype = next((tensor.dtype for tensor in network.parameters()), torch.float32)
    candidates = [points] if points.ndim > 1 else []
    candidates.append(points[None])
    if source.kind in ("widths", "network"):  # these take rows
        rows = {batch.flatten(1).shape: batch.flatten(1) for batch in candidates}
        candidates = [*rows.values()]
    reasons = []
    for batch in candidates:
        two = batch[:1].expand(2, *batch.shape[1:]).to(dtype)
        try:
            with torch.no_grad():
                outputs = network(two)
            if isinstance(outputs, Tensor) and (outputs.ndim < 1 or len(outputs) != 2):
                raise ValueError(f"gives {format_shape(outputs.shape)} for a batch of 2")  # noqa: TRY301 - told as the others
        except Exception as error:  # whatever a network raises at inputs that it does not take
            reason = str(error).partition("\n")[0][:120] or type(error).__name__
            reasons.append(f"{format_shape(batch.shape[1:])} ({reason})")
        else:
            return batch
    raise ModelSourceError(
        f"{flag}: {source} does not take inputs of shape {', nor of '.join(reasons)}; save points of the "
        "shape that it takes, (points, *input shape)"
    )


def images_asked(source: ModelSource, sections: Sections) -> int | None:
    """Return how many test images of each class paths are chosen among, the first ones; None for all.

    Without a number from the user an MLP of ReLUs has those that a study gives it; of any other network all
    count, since its paths are drawn.

    Raises:
        DataError: see `images_per_class`.
    """
    network = network_of(sections)
    is_relu_mlp = source.kind == "widths" or (
        source.kind == "network" and "kernel" in network.entry.engines(network)
    )
    is_open = folding_of(sections).per_class == "auto"
    return None if is_open and not is_relu_mlp else images_per_class(sections)


def of_class_pairs(
    sections: Sections, per_class: int | None, num_asked: int | None, seed: int
) -> ChosenPaths:
    """Return the paths between the test images of class pairs, each path once: both ends read it.

    Args:
        sections: ``data`` and ``folding``.
        per_class: how many images of each class, the first ones; None for all.
        num_asked: see `draw`.
        seed: see `draw`.

    Raises:
        SettingsError: the data have no classes of points to walk between, or lack one of these.
        DataError: a file is missing or unreadable.
    """
    dataset = data_of(sections).dataset
    if not DATASETS[dataset].is_walkable:
        raise SettingsError(f"--data {dataset}: has no classes of points to walk between; name other data")
    num_classes = num_classes_of(sections)
    folding_of(sections).source.check(sections, num_classes)
    images = load_data(data_of(sections)).test
    if folding_of(sections).pairs == "all":
        return of_all_pairs(images.inputs, images.targets, num_classes, per_class, num_asked, seed)
    pairs = [*_once(directed_pairs(sections, num_classes))]
    labels = dict.fromkeys(label for pair in pairs for label in pair)
    members = {label: _members(images, label, per_class, sections) for label in labels}
    sizes = [_num_paths(pair, members) for pair in pairs]
    first = np.concatenate([[0], np.cumsum(sizes)])
    number = draw(int(first[-1]), num_asked, seed)
    which = np.searchsorted(first, number, side="right") - 1
    source, target, classes = np.empty_like(number), np.empty_like(number), np.empty((2, len(number)), int)
    for place in np.unique(which):
        pair, is_here = pairs[place], which == place
        of_source, of_target = members[pair.source], members[pair.target]
        inside = number[is_here] - first[place]
        if pair.source == pair.target:
            i, j = pair_among(inside, len(of_source))
        else:
            i, j = np.divmod(inside, len(of_target))
        source[is_here], target[is_here] = of_source[i], of_target[j]
        classes[0, is_here], classes[1, is_here] = pair
    columns = {"source_class": classes[0], "target_class": classes[1]}
    return ChosenPaths(images.inputs, images.inputs, source, target, number, columns, int(first[-1]))


def of_all_pairs(
    points: Tensor,
    labels: Tensor,
    num_classes: int,
    per_class: int | None,
    num_asked: int | None,
    seed: int,
) -> ChosenPaths:
    """Return paths between all classes, without a list of pairs: thousands of classes have millions.

    They are numbered as a list of them would: (0, 0), (0, 1) and so on, of two classes the smaller one first.

    Args:
        points: of shape ``(points, *input shape)``.
        labels: the class of each, from 0.
        num_classes: how many classes there are.
        per_class: how many points of each class, the first ones; None for all.
        num_asked: see `draw`.
        seed: see `draw`.
    """
    order = np.argsort(labels.numpy(), kind="stable")
    begins = np.searchsorted(labels.numpy()[order], np.arange(num_classes + 1))
    sizes = np.diff(begins) if per_class is None else np.minimum(np.diff(begins), per_class)
    up_to = np.concatenate([[0], np.cumsum(sizes)])  # images of the classes before each
    within = sizes * (sizes - 1) // 2
    first = np.concatenate([[0], np.cumsum(within + sizes * (up_to[-1] - up_to[1:]))])
    number = draw(int(first[-1]), num_asked, seed)
    source_class = np.searchsorted(first, number, side="right") - 1
    inside = number - first[source_class]
    target_class, i, j = source_class.copy(), np.empty_like(number), np.empty_like(number)
    is_same = inside < within[source_class]
    for label in np.unique(source_class[is_same]):
        is_here = is_same & (source_class == label)
        i[is_here], j[is_here] = pair_among(inside[is_here], int(sizes[label]))
    of_source, inside = source_class[~is_same], (inside - within[source_class])[~is_same]
    target = up_to[of_source + 1] + inside // sizes[of_source]
    target_class[~is_same] = np.searchsorted(up_to, target, side="right") - 1
    of_target = target_class[~is_same]
    inside -= sizes[of_source] * (up_to[of_target] - up_to[of_source + 1])
    i[~is_same], j[~is_same] = np.divmod(inside, sizes[of_target])
    source, target = order[begins[source_class] + i], order[begins[target_class] + j]
    columns = {"source_class": source_class, "target_class": target_class}
    return ChosenPaths(points, points, source, target, number, columns, int(first[-1]))


def _once(pairs: Sequence[ClassPair]) -> Iterator[ClassPair]:
    """Yield pairs without those whose opposite is there too."""
    seen: set[frozenset[int]] = set()
    for pair in pairs:
        if frozenset(pair) not in seen:
            seen.add(frozenset(pair))
            yield pair


def _members(images: Split, label: int, per_class: int | None, sections: Sections) -> np.ndarray:
    numbers = class_members(images, label, per_class).numbers
    if not len(numbers):
        data = data_of(sections)
        raise SettingsError(
            f"{DATASETS[data.dataset].place(data)} has no test images of class {label}; "
            "name others with --pairs"
        )
    return numbers


def _num_paths(pair: ClassPair, members: dict[int, np.ndarray]) -> int:
    num_sources, num_targets = len(members[pair.source]), len(members[pair.target])
    return num_sources * (num_sources - 1) // 2 if pair.source == pair.target else num_sources * num_targets
