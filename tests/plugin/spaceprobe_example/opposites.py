"""From each test image of a class to the image with light and dark exchanged."""

from spaceprobe.stages.fold.endpoints.matched import matched_entry
from spaceprobe.stages.stage import Settings


class OppositesSettings(Settings):
    """What the opposite of an image is."""

    strength: float = 1.0


def _opposites(network, images, sections):
    return images + sections["opposites"].strength * (1 - 2 * images)


ENTRY = matched_entry(_opposites, "from an image to its opposite", opposites=OppositesSettings)
