"""How figures look in grey and on paper, and that the same table gives the same bytes."""

import functools
import hashlib
import os
import re
import subprocess
import sys
from itertools import pairwise

import pytest
from matplotlib.colors import to_rgb

import spaceprobe.report.figures as figures
from spaceprobe.report.drawing import style
from spaceprobe.report.drawing.marks import STATE_LOOKS, legend_above, log_label
from tests.figure_tables import FIGURES, make_tables

TEXT_CONTRAST = 4.5
"""WCAG 2.2, success criterion 1.4.3."""

APART_IN_GREY = 1.9
"""Contrast of two colours of data: between those of two neighbouring greys of five. Chosen."""

DRAW_ALL = """
import hashlib, sys
from tests.figure_tables import FIGURES, make_tables
from spaceprobe.report.figures import FORMATS, render
tables = make_tables()
for name, draw in FIGURES.items():
    figure = draw(tables)
    for kind in FORMATS:
        print(name, kind, hashlib.sha256(render(figure, kind)).hexdigest())
"""


def luminance(color):
    """Return the relative luminance of a colour (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_of_known_colours():
    assert contrast("white", "black") == pytest.approx(21)
    assert contrast("#767676", "white") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("name", ["INK", "MUTED", "BLUE", "ORANGE", "GRAY"])
def test_text_can_be_read_on_paper(name):
    assert contrast(getattr(style, name), style.PAPER) >= TEXT_CONTRAST


def test_states_differ_in_grey_and_without_any_tone():
    assert contrast(style.BLUE, style.ORANGE) >= APART_IN_GREY
    untrained, trained = STATE_LOOKS.values()
    assert (untrained.color, trained.color) == (style.ORANGE, style.BLUE)
    assert untrained.marker != trained.marker
    assert untrained.line != trained.line
    assert untrained.fill == style.PAPER != trained.fill


@pytest.mark.parametrize("count", [0, 1, 2, 8, 30])
def test_sequences_go_from_dark_to_light_but_not_to_paper(count):
    colors = [luminance(color[:3]) for color in style.sequence_colors(count)]
    assert len(colors) == count
    assert all(darker < lighter for darker, lighter in pairwise(colors))
    assert all(1.05 / (color + 0.05) > 2.5 for color in colors)


@pytest.fixture(scope="module")
def tables():
    return make_tables()


def digests(tmp_path, seed, settings):
    (tmp_path / "matplotlibrc").write_text(settings)
    environment = {**os.environ, "PYTHONHASHSEED": seed, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    command = [sys.executable, "-W", "error", "-c", DRAW_ALL]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@functools.cache
def drawn_here(name):
    """Return a figure, and the digests of its formats as this process rendered them first."""
    figure = FIGURES[name](make_tables())
    return figure, {kind: digest_of(figure, kind) for kind in figures.FORMATS}


def digest_of(figure, kind):
    return hashlib.sha256(figures.render(figure, kind)).hexdigest()


def test_same_bytes_in_another_process_with_other_settings(tmp_path):
    settings = "font.size: 20\nsavefig.dpi: 50\nfigure.dpi: 30\nsvg.fonttype: none\naxes.facecolor: red\n"
    lines = digests(tmp_path, "2", settings)
    here = {name: drawn_here(name)[1] for name in FIGURES}
    assert lines == [f"{name} {kind} {digest}" for name in here for kind, digest in here[name].items()]
    assert len(lines) == len(FIGURES) * len(figures.FORMATS)


@pytest.mark.parametrize("name", FIGURES)
def test_formats_do_not_depend_on_what_was_rendered_before(name, tables):
    figure, before = drawn_here(name)
    again = {kind: digest_of(figure, kind) for kind in reversed(figures.FORMATS)}
    alone = {kind: digest_of(FIGURES[name](tables), kind) for kind in figures.FORMATS}
    assert before == again == alone


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_ids_of_an_svg_are_unique_and_hold_no_title(draw, tables):
    svg = figures.render(draw(tables), "svg").decode()
    ids = re.findall(r' id="([^"]*)"', svg)
    assert len(ids) == len({*ids})
    assert not any(name.startswith("title") for name in ids)


def test_a_png_has_the_width_and_resolution_of_the_style(tables):
    png = figures.render(FIGURES["training_curves"](tables), "png")
    assert int.from_bytes(png[16:20]) == style.WIDTH * style.RESOLUTION


def test_titles_are_escaped():
    figure = style.new_figure()
    figure.axes[0].plot([1], [2], gid=style.titled("""<b>"&'\n\x00 χ"""))
    assert "<g><title>&lt;b&gt;&quot;&amp;&apos;?? χ</title>" in figures.render(figure, "svg").decode()


def test_dollars_are_no_formula_and_unknown_characters_do_not_warn():
    figure = style.new_figure()
    with style.styled():
        style.empty_note(figure.axes[0], r"$\frac$ 数 \$")
    assert figure.axes[0].texts[0].get_text() == r"\$\frac\$ ? \\$"
    figures.render(figure, "png")


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (1, "1"),
        (0.002, "0.002"),
        (5000, "5000"),
        (1e-4, "10⁻⁴"),
        (5e-12, "5·10⁻¹²"),
        (0, "0"),
        (1e10, "10¹⁰"),
    ],
)
def test_labels_of_log_scales(value, label):
    assert log_label(value) == label


def test_a_legend_takes_more_lines_where_names_are_long():
    figure = style.new_figure()
    looks = [look._replace(name=40 * letter) for letter in "ab" for look in STATE_LOOKS.values()]
    with style.styled():
        legend_above(figure, looks)
        legend_above(figure, [*STATE_LOOKS.values()])
    assert [legend._ncols for legend in figure.legends] == [2, 2]
