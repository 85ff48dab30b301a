"""What rewarding or penalising folding in training does to folding, accuracy and the gap."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.columns import draw_column
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.matching import nearest
from spaceprobe.findings.tables import MEAN_CHI, mean_chi
from spaceprobe.findings.wording import change_of, row_where
from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import Look, grid_figure, legend_above
from spaceprobe.report.drawing.style import BLUE, MUTED, ORANGE, PAPER
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.table import Bounds

CHI, TEST, TRAIN, GAP, NORM = MEAN_CHI, "test_accuracy", "train_accuracy", "gap", "weight_norm"

MEASURES = {
    CHI: "mean χ of paths",
    TEST: "test accuracy",
    GAP: "training minus test accuracy",
    NORM: "norm of the weights",
}

BOUNDS = {
    CHI: bounds_of("folding", "mean"),
    TEST: bounds_of("aggregates", TEST),
    GAP: Bounds(-1, 1),
    NORM: bounds_of("complexity", NORM),
}

SETTINGS = ("fold_reward", "fold_reward_epochs", "weight_decay")

TREATMENT, CONTROL = "treatment", "none"
"""How a network was trained, a text made of its settings; and of those without a reward or decay."""

SAME = "nothing"
"""In the column ``matched``: the control is the network of the same seed, without a reward, when trained."""

SPOKEN = {"+0.3": (0.3, 20), "+1 to epoch 5": (1.0, 5), "-0.3": (-0.3, 20)}
"""The treatments that are compared, in both forms of the study: strength and last epoch of each."""

COMPARED = ((CHI, SAME), (CHI, TEST), (CHI, NORM), (TEST, SAME), (GAP, TRAIN), (GAP, NORM))
"""Measures, and what the controls are matched in."""


def _keep(results: Results) -> Tables:
    """Return each network at its last epoch, and those without a reward at the snapshots as well."""
    frames = results.frames
    runs = frames["runs"][["run", "architecture", "seed", *SETTINGS]]
    accuracies = frames["training"][["run", "epoch", TRAIN, TEST]]
    norms = frames["complexity"][["run", "epoch", NORM]]
    networks = runs.merge(accuracies, on="run").merge(norms, on=["run", "epoch"])
    networks = networks.merge(mean_chi(frames["folding"], ["run", "epoch"]), on=["run", "epoch"])
    is_last = networks["epoch"] == networks.groupby("run")["epoch"].transform("max")
    is_kept = is_last | ((networks["fold_reward"] == 0) & (networks["epoch"] > 0))
    networks = networks.assign(is_last=is_last, **{GAP: networks[TRAIN] - networks[TEST]})[is_kept]
    names = [_name(*row) for row in networks[["epoch", *SETTINGS]].itertuples(index=False)]
    networks.insert(3, TREATMENT, names)
    return {"networks": networks.drop(columns=[*SETTINGS]).reset_index(drop=True)}


def _name(epoch: int, reward: float, reward_epochs: int, decay: float) -> str:
    """Return what a treatment is called."""
    if not reward:
        return f"weight decay {decay:g}" if decay else CONTROL
    return f"{reward:+g}" if epoch <= reward_epochs else f"{reward:+g} to epoch {reward_epochs}"


def _derive(tables: Tables) -> Tables:
    matched = matched_table(tables["networks"])
    last = tables["networks"][tables["networks"]["is_last"]]
    means = pd.concat(
        [
            means_by(last, [TREATMENT, "architecture"], measure, BOUNDS[measure]).assign(measure=measure)
            for measure in MEASURES
        ],
        ignore_index=True,
    )
    return {"means": means, "matched": matched, COMPARISONS: with_holm([*_comparisons(matched)])}


def matched_table(networks: pd.DataFrame) -> pd.DataFrame:
    """Return every rewarded network beside its controls: networks of its architecture and seed without one.

    The controls at any epoch and weight decay are searched for the one that is nearest in a quantity, the
    earliest and least decayed of several.

    Args:
        networks: see `_keep`.

    Returns:
        A row for each rewarded network and ``matched``, which is `SAME`, `TEST`, `TRAIN` or `NORM`:
        treatment, architecture, seed; the treatment and epoch of the control; by how much the network is
        above it in the matched quantity (``mismatch``) and in each of `MEASURES`. A network or a control
        without a number is left out.
    """
    is_control = networks[TREATMENT].isin(_controls(networks))
    rows = []
    for network in networks[~is_control].to_dict("records"):
        is_alike = (networks[["architecture", "seed"]] == [network["architecture"], network["seed"]]).all(
            axis=1
        )
        controls = networks[is_control & is_alike]
        for matched in (SAME, TEST, TRAIN, NORM):
            control = _control(network, controls, matched)
            if control is not None:
                about = {name: network[name] for name in (TREATMENT, "architecture", "seed")}
                of_control = {"control": control[TREATMENT], "epoch": control["epoch"]}
                mismatch = 0.0 if matched == SAME else network[matched] - control[matched]
                above = {name: network[name] - control[name] for name in MEASURES}
                rows.append({**about, "matched": matched, **of_control, "mismatch": mismatch, **above})
    return pd.DataFrame(rows, columns=[*MATCHED, *MEASURES])


MATCHED = (TREATMENT, "architecture", "seed", "matched", "control", "epoch", "mismatch")
"""The columns of `matched_table` before those of `MEASURES`."""


def _controls(networks: pd.DataFrame) -> list[str]:
    return [
        name for name in networks[TREATMENT].unique() if name == CONTROL or name.startswith("weight decay")
    ]


def _control(
    network: Mapping[Hashable, Any], controls: pd.DataFrame, matched: str
) -> "pd.Series[float] | None":
    """Return the control that is nearest in a quantity; None where there is none."""
    if matched == SAME:
        same = controls[(controls[TREATMENT] == CONTROL) & controls["is_last"]]
        return None if same.empty else same.iloc[0]
    return nearest(controls, matched, network[matched])


def _comparisons(matched: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield how far treated networks are above their controls: one number a seed, over the architectures."""
    for treatment, (strength, epochs) in SPOKEN.items():
        for measure, of in COMPARED:
            rows = matched[(matched[TREATMENT] == treatment) & (matched["matched"] == of)]
            yield {
                TREATMENT: treatment, "strength": abs(strength), "until": epochs,
                "measure": measure, "matched": of, **comparison([*rows.groupby("seed")[measure].mean()]),
            }  # fmt: skip


def _says(numbers: Numbers) -> list[Markup]:
    def change(treatment: str, measure: str, of: str) -> Markup:
        return change_of(numbers, {TREATMENT: treatment, "measure": measure, "matched": of})

    def cell(treatment: str, column: str) -> Markup:
        where = {TREATMENT: treatment, "measure": CHI, "matched": SAME}
        return numbers.cell(COMPARISONS, row_where(numbers.frames[COMPARISONS], where), column, "g")

    def said(treatment: str, lead: Markup) -> Markup:
        return sentence(
            "{} changes mean χ by {}, against networks of the nearest test accuracy by {} and of the nearest "
            "norm of the weights by {}; the test accuracy by {}; the gap, against networks of the nearest "
            "training accuracy, by {} and of the nearest norm by {}.",
            lead,
            *(change(treatment, CHI, of) for of in (SAME, TEST, NORM)),
            change(treatment, TEST, SAME),
            *(change(treatment, GAP, of) for of in (TRAIN, NORM)),
        )

    rewarded, early, penalised = SPOKEN
    return [
        said(rewarded, sentence("A reward of {} in every epoch", cell(rewarded, "strength"))),
        said(
            early,
            sentence("One of {} up to epoch {} alone", cell(early, "strength"), cell(early, "until")),
        ),
        said(penalised, sentence("A penalty of {} in every epoch", cell(penalised, "strength"))),
    ]


LOOKS = (
    Look("trained so", BLUE, "none", "o", BLUE),
    Look("control of the nearest test accuracy", ORANGE, "none", "s", PAPER),
    Look("control of the nearest norm", MUTED, "none", "x", MUTED),
)


def _draw(tables: Tables) -> Figure:
    networks, matched = tables["networks"], tables["matched"]
    last = networks[networks["is_last"]]
    treatments = [CONTROL, *(name for name in last[TREATMENT].unique() if name not in _controls(networks))]
    figure = grid_figure(len(MEASURES), 2, height=2.6)
    for axes, (measure, name) in zip(figure.axes, MEASURES.items(), strict=True):
        for place, treatment in enumerate(treatments):
            treated = last[last[TREATMENT] == treatment]
            draw_column(axes, place - 0.22, treated, measure, LOOKS[0], BOUNDS[measure])
            keys = ["architecture", "seed", TREATMENT]
            for shift, of, look in ((0.02, TEST, LOOKS[1]), (0.24, NORM, LOOKS[2])):
                above = matched[(matched["matched"] == of) & (matched[TREATMENT] == treatment)]
                pairs = treated.merge(above, on=keys, suffixes=("", "_above"))
                values = pairs.assign(**{measure: pairs[measure] - pairs[f"{measure}_above"]})
                draw_column(axes, place + shift, values, measure, look, BOUNDS[measure])
        axes.set_xticks(range(len(treatments)), treatments, rotation=30, ha="right", fontsize=7)
        axes.set_ylabel(name)
        keep_within(axes, "y", BOUNDS[measure])
    legend_above(figure, [*LOOKS], has_markers=True)
    return figure


ENTRY = FindingEntry(
    title="Regulariser",
    question="Does a reward for folding change how far networks fold, their accuracy and the gap?",
    study="folding-regularizer",
    kept=("networks",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Against the strength of the reward, negative where folding is penalised, in every epoch unless "
    "it says up to which: a dot is a network, a marker the mean over seeds with its interval; controls have "
    "no reward, the same architecture and seed, and the epoch and weight decay that bring them nearest",
)
