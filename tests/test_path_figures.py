"""Figures of a path, its plane and its samples: what they draw, not how it looks."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.offsetbox import AnnotationBbox
from matplotlib.patches import StepPatch

from spaceprobe.report.figures import FORMATS, render
from spaceprobe.report.figures.path import path_figure
from spaceprobe.report.figures.plane import plane_figure
from spaceprobe.report.figures.sampling import sampling_figure
from spaceprobe.results.paths import images_between

PATH = pd.DataFrame(
    {
        "t": [0.0, 0.2, 0.5, 0.9],
        "distance": [0, 2, 1, 3],
        "flips": [0, 2, 3, 5],
        "chi": [0, 0, 1 / 3, 2 / 5],
    }
)
STILL = pd.DataFrame({"t": [0.0], "distance": [0], "flips": [0], "chi": [0.0]})
IMAGES = np.linspace(0, 1, 9 * 28 * 28).reshape(9, 28, 28)
CORNERS = {"a": (0.0, 0.0), "b": (1.0, 0.0), "c": (0.0, 1.0)}


def plane(pattern, distance=None):
    """Return a plane on the unit square, its rows in no order; row 0 of the arrays is the lowest."""
    pattern = np.array(pattern)
    rows, columns = pattern.shape
    x, y = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
    frame = pd.DataFrame(
        {
            "x": x.ravel(),
            "y": y.ravel(),
            "distance": (pattern if distance is None else np.array(distance)).ravel(),
            "pattern": pattern.ravel(),
        }
    )
    return frame.sample(frac=1, random_state=0)


def steps(axes):
    """Return the values and edges of the curves of a panel."""
    return [
        (patch.get_data().values.tolist(), patch.get_data().edges.tolist())
        for patch in axes.patches
        if isinstance(patch, StepPatch)
    ]


def test_a_path_with_corners_goes_on_to_the_number_of_its_segments():
    figure = path_figure(PATH.assign(t=3 * PATH["t"]), num_segments=3)
    for axes in figure.axes:
        assert axes.get_xlim() == (0, 3)
        assert [edges[-1] for _, edges in steps(axes)] == [3.0] * len(steps(axes))
        dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
        assert [line.get_xdata()[0] for line in dotted] == [1, 2]
    assert figure.axes[1].get_xlabel().endswith("from the start (0) to the end (3)")
    assert not [
        line for line in path_figure(PATH, num_segments=51).axes[0].lines if line.get_linestyle() == ":"
    ]


def test_a_figure_shows_itself_in_a_notebook():
    figure = path_figure(PATH)
    assert figure._repr_png_() == render(path_figure(PATH), "png")


def test_a_path_shows_flips_distance_and_chi():
    figure = path_figure(PATH)
    above, below = figure.axes
    edges = [0.0, 0.2, 0.5, 0.9, 1.0]
    assert steps(above) == [([0, 2, 3, 5], edges), ([0, 2, 1, 3], edges)]
    assert steps(below) == [([0, 0, 1 / 3, 2 / 5], edges)]
    assert above.get_title(loc="left") == "length 5, reach 3: χ = 1 − 3/5 = 0.400"
    boundaries, farthest = above.lines
    assert boundaries.get_xdata().tolist() == [0.2, 0.5, 0.9]
    assert (farthest.get_xdata().tolist(), farthest.get_ydata().tolist()) == ([0.9], [3])


def test_points_without_a_flip_are_no_boundary():
    sampled = pd.DataFrame({"t": [0.0, 0.5, 1.0], "distance": [0, 0, 1], "flips": [0, 0, 1], "chi": 0.0})
    assert path_figure(sampled).axes[0].lines[0].get_xdata().tolist() == [1.0]


def test_images_lie_where_they_are_on_the_path():
    figure = path_figure(PATH, IMAGES)
    strip = figure.axes[2]
    boxes = [artist for artist in strip.artists if isinstance(artist, AnnotationBbox)]
    assert [box.xy[0] for box in boxes] == [number / 8 for number in range(9)]
    shown = [box.offsetbox.get_data() for box in boxes]
    np.testing.assert_array_equal(shown, IMAGES)
    assert strip.get_xlim() == figure.axes[0].get_xlim()
    assert len(path_figure(PATH).axes) == 2


def test_a_path_in_one_region_says_so():
    title = path_figure(STILL).axes[0].get_title(loc="left")
    assert title == "no unit flips, the path lies in one linear region: χ = 0"


def test_boundaries_are_where_the_pattern_changes():
    """Not where the distance does: two regions may be equally far."""
    figure = plane_figure(plane([[0, 0, 1], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]]), CORNERS, labels=("h", "v"))
    axes = figure.axes[0]
    distance, overlay = (image.get_array() for image in axes.images)
    np.testing.assert_array_equal(distance, np.zeros((2, 3)))
    np.testing.assert_array_equal(overlay[..., 3] > 0, [[False, False, True]] * 2)
    assert axes.get_title(loc="left") == "2 patterns on a grid of 3 × 2"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("h", "v")
    assert axes.images[0].get_extent() == [-0.25, 1.25, -0.5, 1.5]  # half a cell around


def test_rows_go_up():
    figure = plane_figure(plane([[0, 0], [1, 2]]), CORNERS)
    image = figure.axes[0].images[0]
    np.testing.assert_array_equal(image.get_array(), [[0, 0], [1, 2]])
    assert image.origin == "lower"
    overlay = figure.axes[0].images[1].get_array()
    np.testing.assert_array_equal(overlay[..., 3] > 0, [[False, False], [True, True]])


def test_the_path_goes_from_the_first_corner_to_the_second():
    axes = plane_figure(plane([[0, 1], [1, 0]]), CORNERS).axes[0]
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]
    assert axes.lines[1].get_xydata().tolist() == [[0, 0], [1, 0]]


def test_one_pattern_says_so():
    title = plane_figure(plane([[4, 4], [4, 4]], np.zeros((2, 2))), CORNERS).axes[0].get_title(loc="left")
    assert title == "one linear region: one pattern on a grid of 2 × 2"


def test_a_plane_with_holes_is_refused():
    whole = plane([[0, 1], [1, 0]])
    with pytest.raises(ValueError, match="plane has 3 rows for 2 values of x and 2 of y"):
        plane_figure(whole.iloc[1:], CORNERS)
    with pytest.raises(ValueError, match="each point of a grid once"):
        plane_figure(whole.iloc[[0, 1, 2, 2]], CORNERS)
    with pytest.raises(ValueError, match="corners has 1 points: expected two or more"):
        plane_figure(whole, {"a": (0.0, 0.0)})


def samples(**paths):
    rows = [
        {"path": name, "num_points": number, "chi": chi}
        for name, some in paths.items()
        for number, chi in some
    ]
    return pd.DataFrame(rows, columns=["path", "num_points", "chi"]).astype({"num_points": "Int64"})


def test_samples_beside_the_exact_value():
    frame = samples(one=[(100, 0.4), (10, 0.2), (None, 0.5)], two=[(10, 0.0), (100, 0.1)])
    axes = sampling_figure(frame).axes[0]
    one, exact, two = axes.lines
    assert (one.get_xdata().tolist(), one.get_ydata().tolist()) == ([10, 100], [0.2, 0.4])
    assert list(exact.get_ydata()) == [0.5, 0.5]
    assert two.get_ydata().tolist() == [0.0, 0.1]
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "one, exact: 0.500", "two"]


@pytest.mark.parametrize("frame", [samples(), samples(one=[(None, 0.5)])], ids=["nothing", "exact only"])
def test_without_samples_the_figure_says_so(frame):
    assert [text.get_text() for text in sampling_figure(frame).axes[0].texts] == ["no path was sampled"]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "draw",
    [
        lambda: path_figure(PATH, IMAGES),
        lambda: path_figure(STILL, IMAGES),
        lambda: path_figure(STILL),
        lambda: plane_figure(plane([[0, 1], [1, 0]]), CORNERS),
        lambda: plane_figure(plane([[0]]), CORNERS),
        lambda: sampling_figure(samples(one=[(5, 0.0), (None, 0.0)])),
        lambda: sampling_figure(samples()),
    ],
    ids=["path", "still", "still without images", "plane", "one point", "no folding", "no samples"],
)
def test_the_same_bytes_twice_and_no_warning(draw, kind):
    assert render(draw(), kind) == render(draw(), kind)


def test_images_in_colour_and_of_another_scale():
    start, end = torch.zeros(2 * 4 * 3, dtype=torch.float64), torch.arange(24, dtype=torch.float64) / 24
    images = images_between(start, end, (3, 2, 4))
    assert images.shape == (9, 2, 4, 3)
    assert images[8, 1, 2].tolist() == [(channel * 8 + 6) / 24 for channel in range(3)]
    assert images_between(start, end, (24,)) is None
    grey = images_between(start - 3, end * 2, (4, 6))
    assert (grey.min(), grey.max()) == (0, 1)
    assert grey[8, 3, 5] == 1
    assert images_between(start + 2, start + 2, (4, 6)).tolist() == np.zeros((9, 4, 6)).tolist()
    figure = path_figure(PATH, images)
    boxes = [box for box in figure.axes[2].artists if isinstance(box, AnnotationBbox)]
    assert [box.offsetbox.get_data().shape for box in boxes] == [(2, 4, 3)] * 9
