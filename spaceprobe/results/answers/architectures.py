"""How far paths fold in each network of a study of several kinds, beside its counted units and accuracy."""

import math

import pandas as pd

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.results.answers.networks import NOTE, has_swept
from spaceprobe.results.groups import LABEL, as_floats, notes_on_failures, with_groups
from spaceprobe.results.readings import DECLARED, one_reading, reading_columns
from spaceprobe.results.results import Results
from spaceprobe.stages.train.settings import data_layout, network_of
from spaceprobe.study.grid import expand
from spaceprobe.tables.states import STATES, by_state

NETWORK, STATE, METHOD, WALKED = "network", "state", "method", "walked"

EXACTLY, SAMPLED = "exactly", "sampled, a lower bound"
"""How the paths of a network were walked."""

QUANTILES = {"q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9}
"""Of χ, by their columns."""

_BOUNDS = DECLARED["aggregates"].column("test_accuracy").bounds
"""Of shares, accuracies and χ alike."""

_OF_RUN = ("run", "seed", "depth", LABEL, "test_accuracy")

_WITH_INTERVAL = ("test_accuracy", "folded")


def no_kinds(results: Results) -> str | None:
    """Return why a study does not compare kinds of networks; None where it does."""
    return None if has_swept(results, "model") else "one kind of network only is trained (network.model)"


def folding_by_network(runs: pd.DataFrame, histogram: pd.DataFrame) -> pd.DataFrame:
    """Return how far the paths of each run fold in each state.

    Args:
        runs: runs.csv, in the order of the sweep.
        histogram: folding_histogram.csv. Of several readings of one run that is taken which figures show.

    Returns:
        run, seed, depth, ``group``, ``test_accuracy`` after the last epoch, state, ``walked``; ``num_paths``;
        ``folded``: the share of paths with χ > 0; of these the quantiles by `QUANTILES` and the ``largest``
        χ, each the upper end of its bin, empty where no path folds. Networks walked exactly go first.
    """
    done = with_groups(runs[runs["status"] == "done"])
    bins = as_floats(histogram[histogram["measure"] == "chi"], ["low", "high", "num_paths"])
    columns = reading_columns("folding_histogram", bins, runs)
    by_run = {run: one_reading(part, columns)[0] for run, part in bins.groupby("run", sort=False)}
    rows = []
    for network in done.to_dict("records"):
        if network["run"] not in by_run:
            continue
        for state, part in by_state(by_run[network["run"]]).items():
            if len(part):
                rows.append({
                    **{name: network[name] for name in _OF_RUN},
                    STATE: state,
                    WALKED: SAMPLED if (part[METHOD] == "sampled").any() else EXACTLY,
                    **_spread(part),
                })  # fmt: skip
    names = ["num_paths", "folded", *QUANTILES, "largest"]
    table = pd.DataFrame(rows, columns=[*_OF_RUN, STATE, WALKED, *names])
    return table.sort_values(WALKED, key=lambda walked: walked == SAMPLED, kind="stable", ignore_index=True)


def counted_units(results: Results) -> dict[str, int]:
    """Return the number of counted units of each run of a study, of all hidden layers, by its name.

    Networks that are not of our own kinds are left out: their units are known only once they are constructed.
    """
    return {
        run.name: sum(network.entry.hidden_widths(network, data_layout(run.sections).input_shape))
        for run in expand(results.study)
        for network in [network_of(run.sections)]
        if not network.is_foreign
    }


def architecture_folding(results: Results) -> pd.DataFrame:
    """Return how far paths fold in each network, untrained and trained, beside its units and its accuracy.

    Returns:
        network, walked, state, ``units``, ``depth``; the means over seeds of ``test_accuracy`` (after the
        last epoch) and ``folded``, with ``_low`` and ``_high``, and of the quantiles of `folding_by_network`;
        ``num_paths`` of all seeds; ``num_seeds``; ``folds``: whether any path does; ``note``.
    """
    runs = results.runs
    by_run = folding_by_network(runs, results.frames["folding_histogram"])
    units = pd.Series(counted_units(results), dtype="Int64")
    by_run = by_run.rename(columns={LABEL: NETWORK}).assign(units=by_run["run"].map(units))
    by = [NETWORK, WALKED, STATE, "units", "depth"]
    table = by_run.groupby(by, sort=False, as_index=False, dropna=False)["num_paths"].sum()
    for name in (*_WITH_INTERVAL, *QUANTILES, "largest"):
        names = {"mean": name}
        if name in _WITH_INTERVAL:
            names |= {end: f"{name}_{end}" for end in ("low", "high")}
        if name == "folded":
            names |= {"num_seeds": "num_seeds"}
        means = means_by(by_run, by, name, _BOUNDS)[[*by, *names]]
        table = table.merge(means.rename(columns=names), on=by, how="left")
    places = {state: place for place, state in enumerate(STATES)}
    table = table.assign(place=table[NETWORK].map({n: i for i, n in enumerate(table[NETWORK].unique())}))
    table = table.assign(at=table[STATE].map(places)).sort_values(["place", "at"], ignore_index=True)
    table = table.drop(columns=["place", "at"]).assign(folds=table["folded"] > 0)
    noted: pd.DataFrame = table.assign(**{NOTE: "; ".join(notes_on_failures(runs))})
    return noted


def _spread(bins: pd.DataFrame) -> dict[str, float]:
    """Return what is said of the paths of one network, from the numbers of them in bins of χ."""
    num_paths = bins["num_paths"].sum()
    folded = bins[(bins["high"] > 0) & (bins["num_paths"] > 0)].sort_values("high")
    shares = folded["num_paths"].cumsum() / max(1.0, folded["num_paths"].sum())

    def at(share: float) -> float:
        return math.nan if folded.empty else float(folded["high"][shares >= share - 1e-12].iloc[0])

    return {
        "num_paths": num_paths,
        "folded": folded["num_paths"].sum() / num_paths if num_paths else math.nan,
        **{name: at(share) for name, share in QUANTILES.items()},
        "largest": at(1.0),
    }
