"""correlations.csv: does folding grow with depth, is it training, is it only accuracy, how sure?

For every predictor and response, untrained, trained and their difference, plain and given the test
accuracy, over all runs and over accurate ones (docs/definitions.md, "Correlations"). Where something else is
swept as well, all of it once for each of its values, and once ``pooled``. One row a seed, and three rows over
all seeds that differ in ``interval``:

- ``t over seeds``, the headline: the mean over seeds of atanh(r), back-transformed, and the mean
  slope, both with t intervals over seeds (what they cover: `spaceprobe.analysis.over_seeds`);
- ``bootstrap``: the same means with the percentile bootstrap over seeds;
- ``Fisher z``: all runs pooled into one sample, as if they were independent.

There is no interval from fewer than three seeds. Spearman's correlation has none; over seeds it is the plain
mean.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from spaceprobe.analysis.aggregate_columns import ACCURACY
from spaceprobe.analysis.aggregates import accuracy_of, probe_readings
from spaceprobe.analysis.association import Association, associate, is_constant, is_perfect
from spaceprobe.analysis.over_seeds import (
    MIN_SEEDS,
    bootstrap_interval,
    mean_correlation,
    t_interval,
    too_few_seeds,
)
from spaceprobe.analysis.predictors import predictors
from spaceprobe.analysis.samples import FOLDING_RESPONSES, Sample, accurate, predictors_in, take_samples
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import STATES, TRAINED, UNTRAINED
from spaceprobe.tables.table import Column, Table

PRIMARY_RESPONSE = "chi_row_max_median"
"""The response closest to "the aggregated median of maxima of non-zero space folding"
(arXiv 2502.09954)."""

MIN_ACCURACIES = (0.0, 0.9)
"""All runs, and those that learned MNIST (docs/definitions.md, "Correlations")."""

Row = dict[str, Any]


def correlation_table(
    frames: Frames,
    table: Table,
    min_accuracies: Sequence[float] = MIN_ACCURACIES,
    responses: Sequence[str] = FOLDING_RESPONSES,
) -> pd.DataFrame:
    """Return correlations.csv.

    Predictors are depth, width and every numeric swept setting that varies and that the state depends on: an
    untrained network has no learning rate. Responses are aggregates, and the trained
    test accuracy itself. ``at`` has the values of what else is swept, which the networks share; ``pooled``
    is over all of them. ``given`` test_accuracy means partial correlation, rank correlation and slope, with
    the test accuracy of the run's trained network held fixed; ``min_accuracy`` is about the same accuracy,
    and 0 filters nothing. Untrained networks are at chance, so they have neither. Slopes are per unit of the
    predictor: per layer for depth.

    Untrained networks with the same weights are one (`spaceprobe.analysis.observations`). Below five runs
    (`association.MIN_RUNS`), or with a constant column, the numbers are empty and ``note`` has the reason;
    the means over seeds leave such a seed out. Where |r| = 1 there is no interval, since atanh(r) is
    infinite. Networks that failed or lack a value are left out; ``note`` has how many and where.

    Args:
        frames: aggregates, and runs for failed runs and swept settings.
        table: the declaration of correlations.csv.
        min_accuracies: least test accuracies to filter by; 0 for no filter.
        responses: columns of aggregates.

    Returns:
        The columns of ``table``. Where paths were read in several ways, the columns that tell these apart
        stand in front. ``seed`` is a text: a number or ``all``. The slope interval of the ``Fisher z``
        rows is the t interval of least squares.
    """
    aggregates = frames["aggregates"]
    keys = [key for key in probe_readings(frames) if aggregates[key].nunique(dropna=False) > 1]
    groups = aggregates.groupby(keys, dropna=False, sort=True) if keys else [((), aggregates)]
    rows = [
        {**dict(zip(keys, key, strict=True)), **row}
        for key, of_reading in groups
        for row in _rows_of_one_reading(of_reading, frames, min_accuracies, responses)
    ]
    # A column without any number would be of objects otherwise.
    numbers = [c.name for c in table.columns if isinstance(c, Column) and c.dtype == "number"]
    return pd.DataFrame(rows, columns=[*keys, *table.names]).astype(dict.fromkeys(numbers, float))


def _rows_of_one_reading(
    aggregates: pd.DataFrame, frames: Frames, min_accuracies: Sequence[float], responses: Sequence[str]
) -> Iterator[Row]:
    """Yield all rows of the aggregates of one way of reading paths."""
    readings = probe_readings(frames)
    for predictor in predictors(frames["runs"], frames.settings("runs")):
        samples = [
            (state, min_accuracy, accurate(sample, min_accuracy))
            for state in STATES
            if predictor in predictors_in(frames, state)
            for sample in take_samples(aggregates, frames, readings, state, predictor, responses)
            for min_accuracy in (min_accuracies if state != UNTRAINED else [0.0])
        ]
        for response in (*responses, ACCURACY):
            for state, min_accuracy, sample in samples:
                for given in ("none", ACCURACY) if state != UNTRAINED else ("none",):
                    # Accuracy itself is asked about once, where it is of interest.
                    if response == ACCURACY and (state != TRAINED or given == ACCURACY):
                        continue
                    used = accuracy_of(state) if min_accuracy or given == ACCURACY else ""
                    about = {
                        "state": state,
                        "at": sample.at,
                        "min_accuracy": min_accuracy,
                        "accuracy_of": used,
                    }
                    for row in _rows_of_one_question(sample, predictor, response, given):
                        yield {**about, **row}


def _rows_of_one_question(sample: Sample, predictor: str, response: str, given: str) -> Iterator[Row]:
    """Yield the row of each seed, then the three rows of all seeds."""
    x, y = sample.columns[predictor], sample.columns[response]
    z = None if given == "none" else sample.columns[given]
    is_known = np.isfinite(x) & np.isfinite(y) & (True if z is None else np.isfinite(z))

    def among(chosen: Bool[np.ndarray, "runs"]) -> Association | str:
        chosen = chosen & is_known
        return associate(x[chosen], y[chosen], None if z is None else z[chosen])

    question = {"predictor": predictor, "response": response, "given": given}
    notes = sample.notes_on(response)
    by_seed = {}
    for seed in sample.seeds:
        is_seed = sample.seed == seed
        by_seed[seed] = among(is_seed)
        yield {
            **question,
            "seed": str(seed),
            "num_runs": int(np.sum(is_seed & is_known)),
            "num_seeds": 1,
            **_sample_columns(by_seed[seed], num_seeds=1),
            "note": _note(
                *_reason(by_seed[seed], num_seeds=1), *sample.left_out(predictor, ~is_known, seed), *notes
            ),
        }
    notes = [*sample.left_out(predictor, ~is_known), *notes]
    for row in _rows_over_seeds(by_seed, notes):
        yield {**question, "seed": "all", **row}
    pooled, num_seeds = among(np.ones_like(is_known)), len(np.unique(sample.seed[is_known]))
    yield {
        **question,
        "seed": "all",
        "num_runs": int(np.sum(is_known)),
        "num_seeds": num_seeds,
        **_sample_columns(pooled, num_seeds),
        "note": _note("runs of all seeds pooled", *_reason(pooled, num_seeds), *notes),
    }


def _rows_over_seeds(by_seed: dict[Any, Association | str], notes: list[str]) -> Iterator[Row]:
    """Yield the means over seeds, with the t and with the bootstrap interval."""
    used = [each for each in by_seed.values() if isinstance(each, Association)]
    reasons = [each for each in by_seed.values() if isinstance(each, str)]
    notes = [
        *(
            f"{reasons.count(reason)} of {len(by_seed)} seeds left out: {reason}"
            for reason in dict.fromkeys(reasons)
        ),
        *([too_few_seeds(len(used))] if 0 < len(used) < MIN_SEEDS else []),
        *notes,
    ]
    correlations = np.array([each.pearson for each in used], dtype=np.float64)
    spearman = [each.spearman for each in used if each.spearman is not None]
    if used and len(spearman) < len(used):
        notes.append(f"Spearman from {len(spearman)} of {len(used)} seeds")
    slopes = np.array([each.slope for each in used], dtype=np.float64)
    for name, interval in (("t over seeds", t_interval), ("bootstrap", bootstrap_interval)):
        pearson = mean_correlation(correlations, interval)
        reasons = [f"|r| = 1 in {_count(pearson.num_perfect, 'seed')}: no interval of r"]
        reasons = reasons if pearson.num_perfect else [*_equal("r", correlations)]
        yield {
            "num_runs": sum(each.num_runs for each in used),
            "num_seeds": len(used),
            "pearson": pearson.value,
            **_limits("pearson", pearson.interval),
            "spearman": float(np.mean(spearman)) if spearman else None,
            "slope": float(np.mean(slopes)) if used else None,
            **_limits("slope", interval(slopes)),
            "interval": name,
            "note": _note(*reasons, *_equal("slope", slopes), *notes),
        }


def _equal(name: str, values: np.ndarray) -> Iterator[str]:
    """Yield the note on a column that is the same for enough seeds for an interval."""
    if len(values) >= MIN_SEEDS and is_constant(values):
        yield f"all {len(values)} seeds have the same {name}: no interval of it"


def _sample_columns(association: Association | str, num_seeds: int) -> Row:
    """Return the numbers of one sample, empty where there is only a reason; of few seeds no interval."""
    row: Row = {"interval": "Fisher z"}
    if isinstance(association, Association):
        of_pearson, of_slope = association.pearson_interval, association.slope_interval
        is_enough = num_seeds >= MIN_SEEDS
        row |= {"pearson": association.pearson, **_limits("pearson", of_pearson if is_enough else None)}
        row |= {"spearman": association.spearman}
        row |= {"slope": association.slope, **_limits("slope", of_slope if is_enough else None)}
    return row


def _limits(name: str, interval: tuple[float, float] | None) -> Row:
    """Return the two columns of an interval, empty where there is none."""
    low, high = interval if interval is not None else (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _reason(association: Association | str, num_seeds: int) -> list[str]:
    """Return why numbers of one sample are empty, if any are."""
    if isinstance(association, str):
        return [association]
    return [
        *([too_few_seeds(num_seeds)] if num_seeds < MIN_SEEDS else []),
        *(["|r| = 1: no interval of r"] if is_perfect(association.pearson) else []),
        *(["given determines ranks: no Spearman"] if association.spearman is None else []),
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _note(*notes: str) -> str:
    """Return the text of the column ``note``, empty where there is nothing to say."""
    return "; ".join(notes)
