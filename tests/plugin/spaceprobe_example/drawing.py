"""How the images of `bars` are drawn."""

SIDE = 4
"""Pixels along each side of an image."""


def draw_bars(num_images):
    """Return images of one bar each, shape ``(images, side, side)``, and whether each stands upright."""
    import numpy as np

    random = np.random.default_rng(0)
    images = random.uniform(0, 0.3, (num_images, SIDE, SIDE))
    is_upright = random.integers(2, size=num_images)
    for image, upright, place in zip(images, is_upright, random.integers(SIDE, size=num_images), strict=True):
        (image.T if upright else image)[place] += 0.7
    return images, is_upright
