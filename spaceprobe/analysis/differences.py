"""Two studies side by side: what the runs of both measured, group by group, and how sure the difference is.

A group is an architecture, an activation, a data set and a value of every setting that both studies sweep, as
`spaceprobe.analysis.measured.grouped_runs` says; a difference is that of means over seeds, second study minus
first (`spaceprobe.analysis.mean_difference`).
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, fields

import pandas as pd

from spaceprobe.analysis.mean_difference import MeanDifference, mean_difference
from spaceprobe.analysis.measured import (
    QUANTITIES,
    bounds_of,
    grouped_runs,
    measured_values,
    varying_settings,
)
from spaceprobe.analysis.observations import networks_of
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import DIFFERENCE, STATES, UNTRAINED

_NUMBERS = {field.name: field.type for field in fields(MeanDifference) if field.type in (int, float)}

DIFFERENCE_COLUMNS = ("quantity", "layer", *_NUMBERS, "interval", "note")
"""Those after the group's columns, state and the columns that tell readings apart."""

UNMATCHED_COLUMNS = ("only_in", "num_runs", "quantities")
"""Those after the group's columns."""


def difference_table(a: Frames, b: Frames) -> pd.DataFrame:
    """Return differences.csv: what both studies measured of each group that both have.

    Quantities are test_accuracy and test_loss (trained only), aggregates of folding, and of each layer the
    ranks by some rules (``rank_`` and the rule's name, unrounded) and the spectral norm. A row needs a
    value on each side; what only one side has is in `unmatched`. Several runs of one seed and group, where a
    study sweeps what the other does not, count as one value, their mean.

    Untrained networks with the same weights are one, and the settings that only training has are empty in
    their rows.

    Where a study read paths (or layers) in several ways, rows are of one way each. Where each study has one
    way only and they differ, they are compared all the same, and ``note`` says so. It says as well where
    class pairs, sources and targets of the paths, epochs or learning rates differ, and which runs are left
    out.

    Args:
        a: the tables of the first study.
        b: the tables of the second study.

    Returns:
        The group's columns; state; the columns that tell readings apart, where they vary; then
        `DIFFERENCE_COLUMNS`: ``difference`` is b minus a, ``low`` and ``high`` its 95 % interval,
        ``interval`` names it and is empty where there is none, and ``note`` says why.

    Raises:
        ValueError: a study has no table of runs.
    """
    columns, keys, runs, values = _both(a, b)
    varying = {name: varying_settings(tables, columns) for name, tables in (("a", a), ("b", b))}
    lasting = {name: [n for n in names if n not in _training_only(a)] for name, names in varying.items()}
    rows = []
    cells = ["group", "state", *keys, "quantity", "layer"]
    for cell, measured in values.groupby(cells, dropna=False, sort=False):
        sides = {name: measured[measured["study"] == name] for name in ("a", "b")}
        if any(side.empty for side in sides.values()):
            continue
        named = dict(zip(cells, cell, strict=True))
        bounds = bounds_of(str(named["quantity"]), a)
        bounds = bounds.of_difference() if named["state"] == DIFFERENCE else bounds
        means = mean_difference(_by_seed(sides["a"]), _by_seed(sides["b"]), bounds)
        is_untrained = named["state"] == UNTRAINED
        of_group = runs[is_untrained][runs[is_untrained]["group"] == cell[0]]
        notes = [
            *_setting_notes(sides, keys),
            *_run_notes(sides, of_group, lasting if is_untrained else varying),
            *means.notes,
        ]
        rows.append({**of_group.iloc[0][columns], **named, **asdict(means), "note": "; ".join(notes)})
    names = ["group", *columns, "state", *keys, *DIFFERENCE_COLUMNS]
    return _sorted(pd.DataFrame(rows, columns=names), keys).drop(columns="group")


def unmatched(a: Frames, b: Frames) -> pd.DataFrame:
    """Return unmatched.csv: the groups, and the quantities of common groups, that only one study has.

    Args:
        a: the tables of the first study.
        b: the tables of the second study.

    Returns:
        The group's columns; only_in: a or b; num_runs: its runs of that group, failed ones included;
        quantities: ``all`` for a group that the other study lacks, else those that the other study lacks in
        some state, layer or way of reading, with the states: "chi_max (untrained, difference)".

    Raises:
        ValueError: a study has no table of runs.
    """
    columns, keys, runs, values = _both(a, b)
    measured = ["group", "state", *keys, "quantity", "layer"]
    num_studies = values.groupby(measured, dropna=False)["study"].transform("nunique")
    lone = values[num_studies == 1]
    rows = []
    groups = [*runs[False].groupby("group")]
    # An untrained group of its own joins some of these: what only one study has of them stands there.
    groups += [
        (number, of_group)
        for number, of_group in runs[True].groupby("group")
        if number > runs[False]["group"].max() and of_group["study"].nunique() > 1
    ]
    for number, of_group in groups:
        studies = sorted(of_group["study"].unique())
        for study in studies:
            of_study = lone[(lone["group"] == number) & (lone["study"] == study)]
            quantities = "all" if len(studies) == 1 else _with_states(of_study)
            if quantities:
                num_runs = int((of_group["study"] == study).sum())
                cells = dict(zip(UNMATCHED_COLUMNS, (study, num_runs, quantities), strict=True))
                rows.append({**of_group.iloc[0][columns], **cells})
    return pd.DataFrame(rows, columns=[*columns, *UNMATCHED_COLUMNS])


def _both(a: Frames, b: Frames) -> tuple[list[str], list[str], dict[bool, pd.DataFrame], pd.DataFrame]:
    """Return the group's columns, those of readings that vary, the runs and the values of both studies.

    Runs are by whether the untrained networks are meant: of these there is one row for each network.
    """
    columns, runs = grouped_runs(a, b)
    keys: dict[str, None] = {}
    frames = []
    for study, tables in (("a", a), ("b", b)):
        keys_of_one, values = measured_values(tables)
        ways = values.groupby("quantity")[keys_of_one].nunique(dropna=False)
        keys |= dict.fromkeys(key for key in keys_of_one if (ways[key] > 1).any())
        frames.append(values.assign(study=study))
    values = pd.concat([f for f in frames if not f.empty] or frames, ignore_index=True)
    networks = pd.concat(
        [
            networks_of(t, UNTRAINED).rename("network").reset_index().assign(study=s)
            for s, t in (("a", a), ("b", b))
        ]
    )
    untrained = _untrained_networks(runs.merge(networks, on=["study", "run"]), columns, _training_only(a))
    is_untrained = values["state"] == UNTRAINED
    trained = values[~is_untrained].merge(runs[["study", "run", "seed", "group"]], on=["study", "run"])
    once = values[is_untrained].merge(networks, on=["study", "run"])
    once = once.drop_duplicates(["study", "network", *keys, "quantity", "layer", "value"]).drop(columns="run")
    once = once.merge(untrained[["study", "run", "network", "seed", "group"]], on=["study", "network"])
    both = [frame for frame in (trained, once.drop(columns="network")) if not frame.empty] or [trained]
    return columns, [*keys], {False: runs, True: untrained}, pd.concat(both, ignore_index=True)


def _training_only(tables: Frames) -> tuple[str, ...]:
    """Return the settings that only training has."""
    return tables.tables["runs"].training_only


def _untrained_networks(
    runs: pd.DataFrame, columns: Sequence[str], training_only: Sequence[str]
) -> pd.DataFrame:
    """Return one run for each untrained network of either study, done if one is.

    Where groups are told apart by what only training has, these columns are emptied and the groups joined.
    """
    order = runs.assign(is_failed=runs["status"] != "done").sort_values("is_failed", kind="stable").index
    networks = runs.loc[runs.loc[order].drop_duplicates(["study", "network"]).index.sort_values()]
    lasting = [name for name in columns if name not in training_only]
    if len(lasting) == len(columns):
        return networks
    number = networks.groupby(lasting, dropna=False, sort=False).ngroup() + 1 + runs["group"].max()
    emptied = {
        name: pd.Series(None, index=networks.index, dtype=object) for name in columns if name not in lasting
    }
    return networks.assign(group=number, **emptied)


def _by_seed(side: pd.DataFrame) -> dict[Hashable, list[float]]:
    """Return the values of each seed."""
    return {seed: list(values) for seed, values in side.groupby("seed")["value"]}


def _setting_notes(sides: dict[str, pd.DataFrame], keys: Sequence[str]) -> Iterator[str]:
    """Yield how the two sides were measured or trained differently, as far as tables show it."""
    others = {"run", "state", "quantity", "layer", "value", "study", "seed", "group", *keys}
    for column in [column for column in sides["a"].columns if column not in others]:
        texts = {name: _list_text(side[column].drop_duplicates()) for name, side in sides.items()}
        if texts["a"] != texts["b"]:
            yield f"{column} {texts['a']} in a but {texts['b']} in b"


def _list_text(values: pd.Series) -> str:
    """Return different values in order, such as ``20, 150``; ``none`` for an empty cell."""
    present = sorted(values.dropna(), key=lambda value: (isinstance(value, str), value))
    texts = [f"{value:g}" if isinstance(value, int | float) else str(value) for value in present]
    return ", ".join([*texts, *(["none"] if values.isna().any() else [])])


def _run_notes(
    sides: dict[str, pd.DataFrame], runs: pd.DataFrame, varying: dict[str, list[str]]
) -> Iterator[str]:
    """Yield what else the runs of a group vary, and which of them are left out."""
    for name, side in sides.items():
        of_study = runs[runs["study"] == name]
        num_done = int((of_study["status"] == "done").sum())
        num_failed, num_without = len(of_study) - num_done, num_done - side["run"].nunique()
        if varying[name]:
            yield f"{name} varies {', '.join(varying[name])}"
        if num_failed:
            yield f"{num_failed} failed run{'s' if num_failed > 1 else ''} of {name} left out"
        if num_without:
            yield f"{num_without} run{'s' if num_without > 1 else ''} of {name} without a value left out"


def _with_states(values: pd.DataFrame) -> str:
    """Return quantities with their states, in the order of the tables."""
    states = {quantity: set(rows["state"]) for quantity, rows in values.groupby("quantity")}
    return ", ".join(
        f"{quantity} ({', '.join(state for state in STATES if state in states[quantity])})"
        for quantity in QUANTITIES
        if quantity in states
    )


def _sorted(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the rows by group, quantity, layer, way of reading and state, with numbers as numbers."""
    table = table.astype({"layer": "Int64", **_NUMBERS})
    order = {name: place for place, name in enumerate((*QUANTITIES, *STATES))}
    return table.sort_values(
        ["group", "quantity", "layer", *keys, "state"],
        key=lambda column: column.map(order) if column.name in ("quantity", "state") else column,
        kind="stable",
        ignore_index=True,
    )
