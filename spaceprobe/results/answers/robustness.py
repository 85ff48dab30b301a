"""How many adversarial twins are still classified rightly, and how the paths to them fold."""

import pandas as pd

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.results.answers.networks import Networks
from spaceprobe.results.results import Results
from spaceprobe.tables.states import STATES, by_state
from spaceprobe.tables.table import Bounds

CHECKS, FOLDING = "folding_checks_adversarial", "folding_adversarial"

STATE, ATTACK = "state", "attack"

_WAY = [ATTACK, "norm", "radius"]

_SHARES = ("robust_accuracy", "accuracy", "folded", "mean")
"""Of images and twins, and of χ of the paths to them: each a mean over classes, in [0, 1]."""


def robust_accuracies(results: Results) -> pd.DataFrame:
    """Return the robust accuracy of each kind of network under each attack, and χ of the paths to its twins.

    Returns:
        state, the settings, attack, norm, radius; means over seeds of ``robust_accuracy``, ``accuracy``,
        ``folded`` and ``mean`` (of χ), each a mean over classes, with ``_low`` and ``_high``; ``num_seeds``;
        ``note``.
    """
    networks = Networks(results)
    chi = results.frames[FOLDING].query("measure == 'chi'")
    key = ["run", "epoch", "class", *_WAY, "method"]
    rows = results.frames[CHECKS].merge(chi[[*key, "folded", "mean"]], on=key)
    of_run = ["run", "epoch", *_WAY]
    by_run = rows.groupby(of_run, as_index=False)[[*_SHARES]].mean().merge(networks.runs, on="run")
    by = [STATE, *networks.settings, *_WAY]
    states = [part.assign(**{STATE: state}) for state, part in by_state(by_run).items()]
    stated = pd.concat(states, ignore_index=True)
    table = stated[by].drop_duplicates()
    for name in _SHARES:
        kept = {"mean": name, "low": f"{name}_low", "high": f"{name}_high"}
        if name == _SHARES[0]:
            kept |= {"num_seeds": "num_seeds"}
        means = means_by(stated, by, name, Bounds(0, 1))[[*by, *kept]].rename(columns=kept)
        table = table.merge(means, on=by, how="left")
    places = {state: place for place, state in enumerate(STATES)}
    table = networks.in_order(table, networks.settings)
    table = table.sort_values(
        [STATE, "norm", "radius"],
        key=lambda column: column.map(places) if column.name == STATE else column,
        kind="stable",
        ignore_index=True,
    )
    return networks.noted(table)
