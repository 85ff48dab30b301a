"""The tables of the Layer Matrix Decomposition."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from spaceprobe.stages.lmd.settings import lmd_of
from spaceprobe.stages.stage import Part, PartContent, Rows, Sections
from spaceprobe.stages.train.settings import network_of
from spaceprobe.stages.train.tables import EPOCH
from spaceprobe.tables.states import UNTRAINED
from spaceprobe.tables.table import Column, Table

_STORED_SUFFIX = " initial"
"""Ended the names of the untrained network's spaces in rows that an earlier version stored."""

LAYER = Column("layer", "integer", "number of the weight matrix, from 0")

SPECTRUM = Table(
    "lmd_spectrum",
    key=("epoch", "layer", "basis", "index"),
    columns=(
        EPOCH,
        LAYER,
        Column(
            "basis",
            "text",
            "svd: singular values of the matrix; data or laplacian: the separation S′, in that latent "
            "metric, of the matrix cut to its default rank",
        ),
        Column("index", "integer", "number of the component, from 1, the largest value first"),
        Column("value", "number", "singular value or entry of S′, at least 0"),
        Column("energy", "number", "share of the squared value in the sum of squares, in [0, 1]"),
        Column("cumulative_energy", "number", "sum of the energies up to this component, in [0, 1]"),
        Column(
            "untrained_value",
            "number",
            "the same of the untrained network; empty in other bases and for files of weights",
            earlier_name="initial_value",
        ),
        Column(
            "shuffled_value",
            "number",
            "the same after shuffling the entries; empty where that is not computed",
        ),
        Column(
            "participation_u",
            "number",
            "on how many outputs the left singular vector lives, from 1; empty in other bases and beyond the "
            "rank of a product of matrices",
        ),
        Column(
            "participation_v",
            "number",
            "on how many inputs the right singular vector lives, from 1; empty in other bases and beyond the "
            "rank of a product of matrices",
        ),
        Column("error", "number", "bound of the error of an approximate value; empty for exact ones"),
        Column("kept", "boolean", "whether the component is kept at the rank in lmd_layers"),
    ),
    meaning="one component of one weight matrix, in one basis",
)

RANKS = Table(
    "lmd_ranks",
    key=("epoch", "layer", "rule"),
    columns=(
        EPOCH,
        LAYER,
        Column("rule", "text", "rank rule; functional is the measured rank"),
        Column("rank", "integer", "components that count by this rule; 0 where it gives no number"),
        Column("value", "number", "the number of the rule before rounding; 0 where it gives none", low=0),
        Column("valid", "boolean", "whether the assumption of the rule holds, as far as can be seen"),
        Column("reason", "text", "why the rule is not valid; empty where it is"),
        Column("default", "boolean", "whether this rule gives the rank in lmd_layers"),
    ),
    meaning="the rank of one weight matrix by one rule",
)

LAYERS = Table(
    "lmd_layers",
    key=("epoch", "layer", "metric"),
    columns=(
        EPOCH,
        LAYER,
        Column("num_outputs", "integer", "rows of the matrix"),
        Column("num_inputs", "integer", "columns of the matrix"),
        Column("metric", "text", "latent metric: identity, data or laplacian"),
        Column("rank", "integer", "components kept in the factors"),
        Column("rule", "text", "rule that gave the rank; leading where only leading values are known"),
        Column("frobenius_norm", "number", "square root of the sum of squares of the entries"),
        Column("spectral_norm", "number", "largest singular value"),
        Column("stable_rank", "number", "squared Frobenius over squared spectral norm; 0 for a zero matrix"),
        Column("truncation_error", "number", "Frobenius norm of the matrix minus the product of its factors"),
        Column(
            "reconstruction_error",
            "number",
            "‖W V Vᵀ - product‖_F / ‖W‖_F; empty where the metric is not valid",
        ),
        Column("isometry_error_u", "number", "largest entry of |UᵀU - 1|"),
        Column("isometry_error_v", "number", "largest entry of |VᵀV - 1|"),
        Column("condition_in", "number", "condition number of G_in; empty where the metric is not valid"),
        Column("condition_out", "number", "condition number of G_out; empty where the metric is not valid"),
        Column(
            "num_components", "integer", "connected components of the graph of the inputs; empty without one"
        ),
        Column(
            "num_components_out",
            "integer",
            "connected components of the graph of the outputs; empty without one",
        ),
        Column(
            "num_dead_inputs",
            "integer",
            "inputs that are the same for all sampled points; empty without data",
        ),
        Column("num_ignored_inputs", "integer", "inputs of the layer that all its weights multiply by 0"),
        Column("valid", "boolean", "whether the matrix could be decomposed with this metric"),
        Column("reason", "text", "why it could not; empty where it could"),
    ),
    meaning="the factors of one weight matrix with one latent metric, and how exact they are",
)

TAILS = Table(
    "lmd_tails",
    key=("epoch", "layer"),
    columns=(
        EPOCH,
        LAYER,
        Column("num_values", "integer", "all eigenvalues of WᵀW (squared singular values)"),
        Column(
            "exponent",
            "number",
            "α > 1 of the power law λ^-α of the largest eigenvalues; empty without a fit",
        ),
        Column("standard_error", "number", "of the exponent; empty without a fit"),
        Column("ks_distance", "number", "of these eigenvalues from the law, in [0, 1]; empty without a fit"),
        Column("xmin", "number", "eigenvalue at which the law starts; empty without a fit"),
        Column("num_tail", "integer", "eigenvalues from xmin on; 0 without a fit"),
        Column(
            "num_left_out", "integer", "eigenvalues that are 0 or rounding; empty where only few are known"
        ),
        Column(
            "goodness_p",
            "number",
            "share of samples of the law that are at least as far from theirs; below 0.1 the law is ruled "
            "out; empty for fewer than 50 eigenvalues in the tail",
            rerun_rtol=math.inf,  # the last bits of trained weights draw other samples
            low=0,
            high=1,
            is_later=True,
        ),
        Column(
            "num_replicas",
            "integer",
            "samples behind it; empty where it is",
            rerun_rtol=math.inf,
            is_later=True,
        ),
        Column(
            "lognormal_ratio",
            "number",
            "normalised log-likelihood ratio of the law to a lognormal (Vuong), at most 0; empty as "
            "goodness_p",
            is_later=True,
        ),
        Column(
            "lognormal_p",
            "number",
            "two-sided p-value of the ratio; empty as goodness_p",
            low=0,
            high=1,
            is_later=True,
        ),
        Column(
            "preferred",
            "text",
            "lognormal where lognormal_p is below 0.05, else undecided; empty as goodness_p",
            is_later=True,
        ),
        Column(
            "valid",
            "boolean",
            "whether 50 eigenvalues or more are fitted, the law is not ruled out and no lognormal preferred",
        ),
        Column("reason", "text", "why the fit is not valid; empty where it is"),
        Column("log_norm", "number", "log10 of the squared Frobenius norm; empty for a zero matrix"),
        Column("log_spectral_norm", "number", "log10 of the largest eigenvalue; empty for a zero matrix"),
        Column("weighted_alpha", "number", "exponent times log_spectral_norm; empty without a fit"),
        Column("log_alpha_norm", "number", "log10 of the sum of all λ^α; empty without a fit"),
        Column("stable_rank", "number", "squared Frobenius over squared spectral norm; 0 for a zero matrix"),
        Column(
            "numerical_rank",
            "integer",
            "singular values above rounding; empty where not settled by leading ones",
        ),
        Column("noise_edge", "number", "Marchenko-Pastur edge at initialisation; empty for files of weights"),
        Column(
            "entries_edge",
            "number",
            "Marchenko-Pastur edge of noise with the variance of the matrix's entries",
            is_later=True,
        ),
        Column(
            "num_spikes",
            "integer",
            "singular values above that edge by more than its own fluctuation; empty where leading values do "
            "not settle it",
            is_later=True,
        ),
        Column(
            "soft_rank",
            "number",
            "(entries_edge / largest value)², near 1 for noise; empty for a zero matrix",
            is_later=True,
        ),
        Column(
            "num_shuffled_spikes",
            "integer",
            "shuffled values above what spikes exceed: what the entries make in any order; empty where they "
            "were not shuffled",
            is_later=True,
        ),
        Column(
            "shuffled_distance",
            "number",
            "√Σ(σ - σ shuffled)² / √Σσ², from 0 to √2; empty where the entries were not shuffled",
            is_later=True,
        ),
        Column(
            "num_large_entries",
            "integer",
            "entries more than 6 standard deviations of the others from their mean; empty for a product of "
            "matrices that is not formed",
            is_later=True,
        ),
        Column(
            "largest_entry",
            "number",
            "distance of the farthest entry from the mean of those that are not large, in their standard "
            "deviations; empty also where these are all equal",
            is_later=True,
        ),
        Column("largest_row", "integer", "row of that entry, from 0", is_later=True),
        Column("largest_column", "integer", "column of that entry, from 0", is_later=True),
        Column(
            "num_entry_spikes",
            "integer",
            "spikes that vanish without the large entries; empty where more than 100 are large, with "
            "--leading, and for a product that is not formed",
            is_later=True,
        ),
    ),
    meaning="the power law in the eigenvalues of one weight matrix, its norms, and what in it is not noise",
)

FUNCTIONAL = Table(
    "lmd_functional",
    key=("epoch", "layer", "rank"),
    columns=(
        EPOCH,
        LAYER,
        Column("rank", "integer", "components that the layer keeps"),
        Column("score", "number", "accuracy in [0, 1] of the network with the layer cut, or R², at most 1"),
        Column("scored_on", "text", "the points that are scored: test, or training where labels are random"),
    ),
    meaning="the score of a network with one weight matrix cut to one rank",
)

DIMENSION = Table(
    "lmd_dimension",
    key=("epoch", "layer", "space", "estimator"),
    columns=(
        EPOCH,
        LAYER,
        Column("space", "text", "input: what enters the layer; output: its pre-activations"),
        Column("estimator", "text", "twonn or mle"),
        Column("num_neighbours", "integer", "neighbours of each point that the estimator reads"),
        Column(
            "dimension", "number", "estimate; 0 where all points are equal, empty where there is none", low=0
        ),
        Column(
            "spread",
            "number",
            "standard deviation of estimates from random halves; empty where there is none",
        ),
        Column("num_points", "integer", "distinct points"),
        Column("num_duplicates", "integer", "points left out because they equal another"),
        Column("num_subsamples", "integer", "random halves behind the spread"),
        Column("reason", "text", "why there is no dimension or spread; empty where there is"),
    ),
    meaning="the dimension of the points at one layer by one estimator",
)

RETRIEVAL = Table(
    "lmd_retrieval",
    key=("epoch", "layer", "space"),
    columns=(
        EPOCH,
        LAYER,
        Column(
            "space",
            "text",
            "where distances are taken: pixels, V (leading right singular vectors) or a latent metric; with "
            '"untrained", those of the untrained network',
            earlier_suffix=_STORED_SUFFIX,
        ),
        Column("rank", "integer", "dimension of the space"),
        Column("num_stored", "integer", "stored points, the first test points"),
        Column("noise", "number", "standard deviation of the noise added to each pixel"),
        Column("num_queries", "integer", "noisy points, several for each stored one"),
        Column(
            "accuracy",
            "number",
            "share, in [0, 1], of noisy points nearest to their own stored one; empty without a metric",
            low=0,
            high=1,
        ),
    ),
    meaning="how often a noisy point leads back to the stored one in one space of one layer",
)

SEMANTICS = Table(
    "lmd_semantics",
    key=("epoch", "layer", "axis"),
    columns=(
        EPOCH,
        LAYER,
        Column("axis", "integer", "number of the right singular vector, from 1"),
        Column(
            "share",
            "number",
            "share, in [0, 1], of the variance along the axis that classes explain",
            low=0,
            high=1,
        ),
        Column("shuffled_mean", "number", "mean of the share over shuffled labels"),
        Column("shuffled_sd", "number", "its standard deviation over them"),
        Column("shuffled_q95", "number", "its 95 % quantile over them"),
        Column("shuffled_max", "number", "its maximum over them"),
        Column("p_value", "number", "of the share against shuffled labels, above 0, for one axis"),
        Column(
            "class_variance",
            "number",
            "share, in [0, 1], of all variance between classes in the layer's inputs",
        ),
        Column("variance", "number", "share, in [0, 1], of all variance of the layer's inputs"),
    ),
    meaning="the class meaning of one latent axis of one layer, on test points",
)

HOPFIELD = Table(
    "lmd_hopfield",
    key=("epoch", "layer", "matrix", "space", "rank", "num_stored", "separation"),
    columns=(
        EPOCH,
        LAYER,
        Column(
            "matrix",
            "text",
            "weight: that of the layer; of a head of attention query-key, output-value or both; none where "
            "no matrix takes part",
        ),
        Column(
            "space",
            "text",
            "where similarities are taken: pixels (of the whole point), input (of the layer), V (leading "
            "right singular vectors), a latent metric, or attention",
        ),
        Column("rank", "integer", "dimension of the space; fewer than all pixels: their principal axes"),
        Column("num_stored", "integer", "stored points, the first test points"),
        Column(
            "separation",
            "text",
            "softmax with a β, limit: the most similar pattern alone; own: the softmax of the head",
        ),
        Column("beta", "number", "inverse temperature over the similarities' spread; empty for the limit"),
        Column(
            "best",
            "boolean",
            "whether no smaller β, and no larger one, is more often right for as many training points",
        ),
        Column("noise", "number", "standard deviation of the noise added to each pixel"),
        Column("num_queries", "integer", "noisy points, several for each stored one"),
        Column(
            "accuracy",
            "number",
            "share, in [0, 1], of noisy points that lead back to their own stored one",
            low=0,
            high=1,
        ),
        Column("first_accuracy", "number", "the same after one update", low=0, high=1),
        Column("num_recalled", "integer", "stored points of whose noisy copies more than half lead back"),
        Column(
            "error",
            "number",
            "mean squared distance of what is retrieved from what is stored, in units of the variance of the "
            "stored; empty where that is 0",
            low=0,
        ),
        Column("mean_steps", "number", "updates of a noisy point until it rests, or is left"),
        Column("num_moving", "integer", "noisy points that do not rest after 50 updates"),
    ),
    meaning="how well noisy points are led back by iterated updates of one memory",
)

SPAN = Table(
    "lmd_span",
    key=("epoch", "layer", "space"),
    columns=(
        EPOCH,
        LAYER,
        Column("space", "text", "input: what enters the layer; output: its pre-activations"),
        Column(
            "rank", "integer", "principal components of the points that are above the rounding of float32"
        ),
        Column("rank99", "integer", "the fewest of them that hold 99 % of the variance"),
        Column(
            "participation",
            "number",
            "participation ratio of their variances, from 1; 0 where all points are equal",
            low=0,
        ),
        Column("num_points", "integer", "points"),
        Column("num_features", "integer", "of a point: inputs or outputs of the layer"),
    ),
    meaning="the linear dimension of the points at one layer",
)

OF_A_MATRIX = (SPECTRUM, RANKS, LAYERS, TAILS)
"""Those that any weight matrix fills, with or without data."""

PRODUCT_KINDS = ("query-key", "output-value", "low-rank update")
"""Kinds of matrices of a file that are products of two factors, of a rank below their sides."""

RULE_NAMES = {
    "participation": "participation, the default rule without data",
    "leading": "all values that --leading asked for",
}
"""What the rules of rank in lmd_layers.csv of a file are called in words."""

OF_A_FILE = tuple(
    Table(
        table.name,
        key=("layer", *table.key[2:]),
        columns=(
            Column("layer", "integer", "number of the matrix in the file, from 0"),
            Column("name", "text", "name of the tensor, or of a product of the matrices of a head"),
            Column("kind", "text", "linear, convolution, query-key, output-value or low-rank update"),
            *table.columns[2:],
        ),
        meaning=table.meaning,
    )
    for table in OF_A_MATRIX
)
"""The same of a file of weights: no epochs, but a name and what kind of matrix it is."""

STEP = Column("step", "integer", "number in the name of the file or subfolder of weights: a step or an epoch")

OF_STEPS = tuple(
    Table(table.name, key=("step", *table.key), columns=(STEP, *table.columns), meaning=table.meaning)
    for table in OF_A_FILE
)
"""The same of a folder of the steps of a training."""

MATRICES = Table(
    "lmd_matrices",
    key=("epoch", "layer"),
    columns=(
        EPOCH,
        LAYER,
        Column("name", "text", "of the layer that it belongs to, such as blocks.0.attention.query"),
        Column("kind", "text", "linear, or convolution, whose kernel is unfolded: outputs × inputs·h·w"),
        Column("head", "integer", "number of the attention head, from 0; empty for all of a layer"),
        Column(
            "num_rows",
            "integer",
            "rows of the sample: points; patches of a convolution, tokens where a layer works token by token",
        ),
    ),
    meaning="which weight matrix of a network has which number; only of networks other than MLPs",
)

CONTINUITY = Table(
    "lmd_continuity",
    key=("epoch",),
    columns=(
        EPOCH,
        Column("num_points", "integer", "training points behind the encoding margin"),
        Column(
            "margin_q50", "number", "median of their errors: 1 - probability of the right class, or distance"
        ),
        Column("margin_max", "number", "the encoding margin ε: the largest of these errors"),
        Column(
            "output_slope",
            "number",
            "largest slope from outputs to what ε is of: 1/2 of softmax, 1 of a regression",
        ),
        Column(
            "slope_bound",
            "number",
            "product of spectral norms, an upper bound of the Lipschitz constant of the outputs; empty "
            "without one",
        ),
        Column(
            "largest_slope",
            "number",
            "largest operator norm of the Jacobian over the linear regions that the paths cross, a lower "
            "bound of that constant; empty where the network is not a piecewise-linear MLP",
        ),
        Column(
            "largest_path_slope",
            "number",
            "largest slope along the paths, at most largest_slope; empty as it",
        ),
        Column("num_paths", "integer", "paths between training points; empty as largest_slope"),
        Column("num_regions", "integer", "linear regions that they cross together; empty as largest_slope"),
        Column("num_violations", "integer", "regions that failed the region check; empty as largest_slope"),
        Column(
            "largest_jump",
            "number",
            "largest jump between two of these regions, in units of ε: L2 of probabilities, or of outputs; "
            "0 of continuous activations; empty as largest_slope",
        ),
        Column(
            "jumping",
            "number",
            "share, in [0, 1], of the paths with a jump larger than ε; empty as largest_slope",
            low=0,
            high=1,
        ),
        Column("delta_bound", "number", "δ(ε) = ε / (output_slope · slope_bound); empty without a bound"),
        Column(
            "delta",
            "number",
            "ε / (output_slope · largest_slope), δ(ε) in these regions; 0 where a jump exceeds ε; empty "
            "where jumps do not exceed it, and where no slope is above 0",
        ),
        Column(
            "nearest_other",
            "number",
            "smallest L2 distance of sampled training points of different classes; empty for a regression",
        ),
        Column("note", "text", "why there is no bound or no slope; empty where there are"),
    ),
    meaning="how continuous one network is, beside how closely it fits its training points",
)

_OUTPUTS = Column("num_outputs", "integer", "rows of the matrix")
_INPUTS = Column("num_inputs", "integer", "columns of the matrix")

TIMES = Table(
    "lmd_times",
    key=("epoch", "layer", "step", "num_points"),
    columns=(
        EPOCH,
        LAYER,
        _OUTPUTS,
        _INPUTS,
        Column(
            "step",
            "text",
            "svd: all values and vectors; leading: the leading ones, as of a large matrix; certificate; "
            "data or laplacian: that metric and the factors with it",
        ),
        Column("num_points", "integer", "points that the step reads; 0 for one that reads none"),
        Column("num_rounds", "integer", "how often the step was timed", rerun_rtol=math.inf),
        Column(
            "duration_s",
            "number",
            "CPU time of the fastest round on one thread, in seconds: of this machine, another one each time",
            rerun_rtol=math.inf,
            low=0,
        ),
    ),
    meaning="how long one step of the decomposition of one weight matrix takes",
)

LEADING = Table(
    "lmd_leading",
    key=("epoch", "layer"),
    columns=(
        EPOCH,
        LAYER,
        _OUTPUTS,
        _INPUTS,
        Column("num_values", "integer", "leading singular values that were sought"),
        Column("krylov_dim", "integer", "dimension of the space searched; the shorter side where is_full"),
        Column("is_full", "boolean", "whether the matrix was decomposed in full, being too small to gain"),
        Column("stated_error", "number", "largest residual ‖W v - σ u‖ / σ₁ of a triplet", low=0),
        Column("stated_error_median", "number", "median over triplets", low=0),
        Column("true_error", "number", "largest |σ - σ of the full decomposition| / σ₁ of a value", low=0),
        Column("true_error_median", "number", "median over values", low=0),
    ),
    meaning="how exact the leading singular values of one weight matrix are, found as those of a large one",
)

ALWAYS = (*OF_A_MATRIX, FUNCTIONAL, DIMENSION, RETRIEVAL, SEMANTICS)
"""Those of every study with this stage."""

OF_LATER_PROBES = {
    "hopfield": (HOPFIELD,),
    "span": (SPAN,),
    "continuity": (CONTINUITY,),
    "cost": (TIMES, LEADING),
}
"""Those that a probe fills, where it is asked for: so studies from before have the files that they had."""

TABLES = (*ALWAYS, *(table for tables in OF_LATER_PROBES.values() for table in tables), MATRICES)
"""Those of a study."""


def asked_tables(sections: Sections) -> tuple[Table, ...]:
    """Return the tables that a run fills.

    Without the names of matrices where their numbers tell enough; see also `OF_LATER_PROBES`.
    """
    probes = lmd_of(sections).probes
    later = [table for probe, tables in OF_LATER_PROBES.items() if probe in probes for table in tables]
    named = () if network_of(sections).entry.has_numbered_layers else (MATRICES,)
    return (*ALWAYS, *later, *named)


def tabulate(sections: Sections, parts: Sequence[tuple[Part, PartContent]]) -> Rows:
    """Return the rows of each table from the finished parts of a run."""
    del sections
    return tabulate_records([content.record for _, content in parts], TABLES)


def tabulate_records(records: Sequence[Mapping[str, Any]], tables: Sequence[Table]) -> Rows:
    """Return the rows of tables, with today's names for what stored parts call otherwise."""
    rows: dict[str, list[Mapping[str, Any]]] = {
        table.name: [row for record in records for row in record.get(table.name, ())] for table in tables
    }
    renamed = {column.earlier_name: column.name for column in SPECTRUM.columns if column.earlier_name}
    rows[SPECTRUM.name] = [
        {renamed.get(name, name): value for name, value in row.items()} for row in rows[SPECTRUM.name]
    ]
    if RETRIEVAL.name in rows:
        rows[RETRIEVAL.name] = [{**row, "space": _space(row["space"])} for row in rows[RETRIEVAL.name]]
    return rows


def _space(stored: str) -> str:
    """Return the name of a space of lmd_retrieval.

    >>> _space("V initial"), _space("V")
    ('V untrained', 'V')
    """
    name = stored.removesuffix(_STORED_SUFFIX)
    return name if name == stored else f"{name} {UNTRAINED}"
