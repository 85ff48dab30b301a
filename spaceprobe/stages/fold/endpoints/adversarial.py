"""From each test image to its adversarial twin, or to a random twin that is as far from it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.stages.fold.endpoints.entry import Ends, Points
from spaceprobe.stages.fold.endpoints.matched import class_entry, images_of
from spaceprobe.stages.stage import Sections, Settings
from spaceprobe.stages.train.settings import network_of
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spaceprobe.data.dataset import Dataset

CONTROL = "random-"
"""Begins the name of the control of an attack."""


class AdversarialSettings(Settings):
    """Adversarial twins of test images, and random twins as far from them."""

    attack: Literal["fgsm", "pgd", "random-fgsm", "random-pgd"] = Field(
        "pgd",
        description="how a twin is found; random-fgsm and random-pgd are random perturbations, each of the "
        "norm that the attack's perturbation of the same image has",
    )
    norm: Literal["linf", "l2"] = Field("linf", description="of the ball that the attack stays in")
    radius: float = Field(
        0.1, gt=0, le=1e6, allow_inf_nan=False, description="of the ball, in units of the data"
    )
    steps: int = Field(20, ge=1, le=10_000, description="of pgd")
    attack_seed: int = Field(
        0, ge=0, le=2**31 - 1, description="of the starts of pgd, and of random perturbations"
    )


def settings_of(sections: Sections) -> AdversarialSettings:
    """Return the settings of adversarial twins."""
    return cast(AdversarialSettings, sections["adversarial"])


def twins_of(
    network: "nn.Module", data: "Dataset", images: "Tensor", label: int, settings: AdversarialSettings
) -> "Tensor":
    """Return the twin of each image of a class.

    Args:
        network: in float64.
        data: whose range twins stay in.
        images: in float64.
        label: the class.
        settings: what is asked for.

    Raises:
        SpaceprobeError: the network has no gradient.
    """
    import torch

    from spaceprobe.data.value_range import value_range
    from spaceprobe.networks.attacks import NoGradientError, fgsm, norms, pgd, random_perturbations
    from spaceprobe.stages.fold.endpoints.repeatable import generator

    classes = torch.full((len(images),), label)
    values = value_range(data)
    ball: dict[str, Any] = {"norm": settings.norm, "radius": settings.radius, "values": values}
    try:
        if settings.attack.removeprefix(CONTROL) == "fgsm":
            twins = fgsm(network, images, classes, **ball)
        else:
            draw = generator(settings.attack_seed, label)
            twins = pgd(network, images, classes, **ball, steps=settings.steps, generator=draw)
    except NoGradientError as error:
        raise SpaceprobeError(
            f"folding.endpoints: adversarial: {error}; an attack needs the gradient of the loss by the input"
        ) from error
    if settings.attack.startswith(CONTROL):
        asked = norms(twins - images, settings.norm)
        # Not the draws of the starts of pgd, which the norms depend on.
        draw = generator(settings.attack_seed, label, 1)
        return random_perturbations(images, asked, norm=settings.norm, values=values, generator=draw)
    return twins


def _check(sections: Sections, num_classes: int) -> None:
    del num_classes
    network = network_of(sections)
    if network.entry.activation(network) == "sign":
        raise SettingsError(
            f"folding.endpoints: adversarial needs the gradient of the loss by the input, which is 0 below "
            f"the signs of network.model: {network.model}; set another network, or other endpoints"
        )


def _ends(network: "nn.Module", data: "Dataset", key: Mapping[str, Any], sections: Sections) -> Ends:
    import torch

    from spaceprobe.networks.attacks import norms
    from spaceprobe.stages.fold.endpoints.repeatable import one_thread

    images, settings, label = images_of(data, key, sections), settings_of(sections), key["class"]
    with one_thread(), torch.no_grad():
        twins = twins_of(network, data, images.values, label, settings)
        change = norms(twins - images.values, settings.norm)
        facts = {
            "accuracy": _share_of_class(network, images.values, label),
            "robust_accuracy": _share_of_class(network, twins, label),
            "mean_norm": float(change.mean()) if len(change) else None,
            "num_unmoved": int((change == 0).sum()),
        }
    return Ends(images, Points("twins", images.numbers, twins), facts)


def _share_of_class(network: "nn.Module", points: "Tensor", label: int) -> float | None:
    from spaceprobe.networks.attacks import BATCH

    right = sum(int((network(some).argmax(1) == label).sum()) for some in points.split(BATCH))
    return right / len(points) if len(points) else None


ENTRY = class_entry(
    _ends,
    "from a test image to its adversarial twin, or to a random one as far from it",
    settings=(
        Column("attack", "text", "fgsm, pgd, random-fgsm or random-pgd", is_setting=True),
        Column("norm", "text", "of the ball: linf or l2", is_setting=True),
        Column("radius", "number", "of the ball, in units of the data", is_setting=True),
    ),
    facts=(
        Column("accuracy", "number", "share of the images that are classified rightly", low=0, high=1),
        Column(
            "robust_accuracy",
            "number",
            "share of the twins that are classified as their image should be",
            low=0,
            high=1,
        ),
        Column("mean_norm", "number", "mean norm of the perturbations, in the norm of the ball"),
        Column("num_unmoved", "integer", "number of twins that are their image, since its gradient is 0"),
    ),
    sections={"adversarial": AdversarialSettings},
    check=_check,
)
