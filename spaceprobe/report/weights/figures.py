"""The figures of a file of weights."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.errors import SettingsError
from spaceprobe.report.drawing.marks import (
    legend_above,
    name_below,
    sequence_looks,
    short,
)
from spaceprobe.report.drawing.style import BLUE, MUTED, new_figure, styled, titled
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.report.weights.spectra import drawn_spectra, spectra_caption, weight_spectra
from spaceprobe.report.weights.steps import no_steps, steps_caption, weight_steps
from spaceprobe.results.groups import choose
from spaceprobe.results.weight_folders import LAYERS
from spaceprobe.results.weight_results import WeightResults

MAX_NAMED = 24
"""Matrices with their names at an axis; of more, their numbers. Chosen."""

RULES = {
    "participation": "participation",
    "entropy": "entropy",
    "energy90": "90 % of the energy",
    "energy99": "99 % of the energy",
    "stable_rank": "stable rank",
}
"""Rules that need nothing but singular values, from few components to many, and what figures call them."""


@dataclass(frozen=True, kw_only=True)
class WeightFigure:
    """A figure of a file of weights, or of a folder of steps.

    Attributes:
        name: what `spaceprobe plot` calls it.
        title: its heading.
        function: draws the tables that it needs, in their order.
        needs: the tables.
        unless: why a file whose tables have rows cannot have it all the same; None where it can.
        caption: how to read it, and what it shows.
        is_over_steps: whether it draws all steps of a folder; otherwise the last.
    """

    name: str
    title: str
    function: Callable[..., Figure]
    needs: tuple[str, ...]
    unless: Callable[[WeightResults], str | None]
    caption: Callable[[Numbers], Markup]
    is_over_steps: bool = False

    def lacks(self, results: WeightResults) -> str | None:
        """Return why a file cannot have the figure; None where it can."""
        rows = self._rows(results)
        if not rows.has(*self.needs):
            return "no matrix was decomposed"
        return self.unless(rows)

    def draw(self, results: WeightResults) -> Figure:
        """Draw the figure of a file that does not lack it."""
        with styled():
            return self.function(*(self._rows(results).frames[name] for name in self.needs))

    def _rows(self, results: WeightResults) -> WeightResults:
        return results if self.is_over_steps else results.at_last_step()


def weight_ranks(layers: pd.DataFrame, ranks: pd.DataFrame) -> Figure:
    """Draw the valid ranks of the matrices by rule, as shares of the largest rank that their sides allow.

    Args:
        layers: lmd_layers.csv of a file of weights.
        ranks: lmd_ranks.csv of it.
    """
    sides = layers.set_index("layer")[["num_outputs", "num_inputs"]].min(axis=1)
    valid = ranks[ranks["rule"].isin([*RULES]) & ranks["valid"].eq(other=True)]
    numbers = sorted(layers["layer"])
    looks = sequence_looks([rule for rule in RULES if rule in {*valid["rule"]}])
    with styled():
        figure = new_figure(height=_height(len(numbers)))
        (axes,) = figure.axes
        for rule, look in looks.items():
            rows = valid[valid["rule"] == rule]
            shares = rows["value"].astype(float).to_numpy() / rows["layer"].map(sides).to_numpy(float)
            axes.plot(
                shares, rows["layer"], linestyle="none", marker=look.marker, color=look.color, markersize=4,
                clip_on=False,
            )  # fmt: skip
        axes.set_xlim(0, 1)
        _name_matrices(figure, layers)
        named = [look._replace(name=RULES[str(rule)], line="none") for rule, look in looks.items()]
        legend_above(figure, named, has_markers=True)
        name_below(figure, "rank over the smaller side of the matrix")
    return figure


def weight_tails(layers: pd.DataFrame, tails: pd.DataFrame) -> Figure:
    """Draw the exponents of the power laws that could be fitted, with their standard errors.

    Args:
        layers: lmd_layers.csv of a file of weights.
        tails: lmd_tails.csv of it.
    """
    valid = tails[tails["valid"].eq(other=True)]
    with styled():
        figure = new_figure(height=_height(len(layers)))
        (axes,) = figure.axes
        for layer, name, exponent, error in valid[["layer", "name", "exponent", "standard_error"]].itertuples(
            index=False
        ):
            axes.plot([exponent - error, exponent + error], [layer, layer], color=BLUE, linewidth=1)
            axes.plot(
                [exponent], [layer], marker="o", color=BLUE, markersize=4,
                gid=titled(f"{name}: {exponent:.2f} ± {error:.2f}"),
            )  # fmt: skip
        _name_matrices(figure, layers)
        num_left = len(tails) - len(valid)
        notes = [f"{num_left} of {len(tails)} matrices have no valid fit"] if num_left else []
        name_below(figure, "exponent α, with its standard error", notes)
    return figure


def _height(count: int) -> float:
    """Return the height in inches of a panel with a line for each matrix."""
    return 1.2 + 0.17 * min(count, MAX_NAMED)


def _name_matrices(figure: Figure, layers: pd.DataFrame) -> None:
    """Give the y axis the matrices in the order of the file, the first on top."""
    (axes,) = figure.axes
    numbers, names = layers["layer"].to_numpy(), layers["name"].astype(str).to_numpy()
    axes.set_ylim(numbers.max() + 0.6, numbers.min() - 0.6)
    if len(numbers) <= MAX_NAMED:
        axes.set_yticks(numbers, [short(name, 40, 1) for name in names])
        axes.tick_params(axis="y", labelsize=7)
        return
    places = choose(range(len(numbers)), 12)
    axes.set_yticks(numbers[places], [f"{number}" for number in np.asarray(numbers)[places]])
    axes.set_ylabel("number of the matrix in the file", color=MUTED)


def _ranks_caption(numbers: Numbers) -> Markup:
    return sentence(
        "The unrounded rank of each matrix by rule, over its smaller side, which no rank exceeds. "
        "The default rule keeps {} to {} components.",
        numbers.statistic("min", LAYERS, "rank", None, "g"),
        numbers.statistic("max", LAYERS, "rank", None, "g"),
    )


def _tails_caption(numbers: Numbers) -> Markup:
    where = {"valid": True}
    return sentence(
        "Exponents of power laws fitted to the largest eigenvalues of WᵀW of {} of {} matrices, {} to {}. "
        "Shown are fits that the "
        "bootstrap does not rule out and to which no lognormal is preferred; in lmd_tails.csv the columns "
        "goodness_p and lognormal_p say by how much, and ks_distance how far the values are from the law.",
        numbers.statistic("count", "lmd_tails", None, where),
        numbers.statistic("count", "lmd_tails"),
        numbers.statistic("min", "lmd_tails", "exponent", where, ".2f"),
        numbers.statistic("max", "lmd_tails", "exponent", where, ".2f"),
    )


def _no_value(results: WeightResults) -> str | None:
    has_values = any(drawn_spectra(results.frames[LAYERS], results.frames["lmd_spectrum"]))
    return None if has_values else "all matrices are zero"


def _no_rank(results: WeightResults) -> str | None:
    ranks = results.frames["lmd_ranks"]
    is_drawn = ranks["rule"].isin([*RULES]) & ranks["valid"].eq(other=True)
    return None if is_drawn.any() else "no rule gives a valid rank"


def _no_tail(results: WeightResults) -> str | None:
    if results.frames["lmd_tails"]["valid"].eq(other=True).any():
        return None
    return "no power law is a valid fit; in lmd_tails.csv the column reason says why"


FIGURES = {
    figure.name: figure
    for figure in (
        WeightFigure(
            name="spectra",
            title="Singular values",
            function=weight_spectra,
            needs=(LAYERS, "lmd_spectrum"),
            unless=_no_value,
            caption=spectra_caption,
        ),
        WeightFigure(
            name="ranks",
            title="Ranks by rule",
            function=weight_ranks,
            needs=(LAYERS, "lmd_ranks"),
            unless=_no_rank,
            caption=_ranks_caption,
        ),
        WeightFigure(
            name="tails",
            title="Exponents of power-law tails",
            function=weight_tails,
            needs=(LAYERS, "lmd_tails"),
            unless=_no_tail,
            caption=_tails_caption,
        ),
        WeightFigure(
            name="steps",
            title="Ranks and norms over steps",
            function=weight_steps,
            needs=(LAYERS,),
            unless=no_steps,
            caption=steps_caption,
            is_over_steps=True,
        ),
    )
}
"""All figures by name, in the order of the page."""


def figures_of(results: WeightResults) -> dict[str, WeightFigure]:
    """Return the figures of a file, or of a folder of steps: of a file, none over steps."""
    return {name: figure for name, figure in FIGURES.items() if results.steps or not figure.is_over_steps}


def weight_figure_named(name: str) -> WeightFigure:
    """Return a figure by its name.

    Raises:
        SettingsError: there is none of that name.
    """
    if name not in FIGURES:
        raise SettingsError(
            f"KIND {name!r} is not a figure of a file of weights; choose one of {', '.join(FIGURES)}"
        )
    return FIGURES[name]
