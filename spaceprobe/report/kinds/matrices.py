"""Figures of weight matrices: spectra, ranks, what becomes of them, and what probes of layers say."""

from markupsafe import Markup

from spaceprobe.report import figures as draw
from spaceprobe.report.kinds.kind import AT_THE_END, UNTRAINED, Kind, joined, needs, said, when
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.missing import why_missing
from spaceprobe.results.questions import has_valid_rank
from spaceprobe.results.results import Results


def _no_rank(results: Results) -> str | None:
    missing = why_missing(results, "lmd_ranks")
    if missing is not None or has_valid_rank(results.frames["lmd_ranks"], "functional"):
        return missing
    if results.has("lmd_functional"):
        return "no layer has a valid one; in lmd_ranks.csv the column reason says why"
    return "the study does not ask for it (lmd.probes: functional-rank)"


def _no_epochs(results: Results) -> str | None:
    missing = why_missing(results, "lmd_ranks")
    if missing is None and results.frames["lmd_ranks"]["epoch"].nunique() < 2:
        return "one epoch only is decomposed (lmd.epoch, training.snapshots)"
    return missing


def _one_metric(results: Results) -> str | None:
    missing = why_missing(results, "lmd_layers", "lmd_spectrum")
    if missing is None and results.frames["lmd_spectrum"]["basis"].nunique() < 2:
        return "the study asks for one metric only (lmd.metrics)"
    return missing


def _spectra_words(numbers: Numbers) -> Markup:
    """Describe how exact the decompositions are."""
    return said(
        "Singular values of every layer, trained (solid) and as initialised (dashed); the dotted line is the "
        "Marchenko-Pastur edge of the initialisation, the upright one the rank n′ of the default rule. The "
        "largest singular value {} is {}; no factorisation is off by more than {} of its matrix.",
        when(numbers, "lmd_layers"),
        numbers.reading("max", "lmd_layers", "spectral_norm", AT_THE_END, ".3g"),
        numbers.reading("max", "lmd_layers", "reconstruction_error", None, ".1e"),
    )


def _ranks_words(numbers: Numbers) -> Markup:
    """Describe how the rules stand to the functional rank."""
    table = numbers.frames["lmd_ranks"]
    rules = [
        rule for rule in ("functional", "data99", "participation", "energy95") if has_valid_rank(table, rule)
    ]
    parts = [
        said(
            "{} by <code>{}</code>",
            numbers.reading("median", "lmd_ranks", "rank", {"rule": rule, "valid": True, **AT_THE_END}, "g"),
            rule,
        )
        for rule in rules
    ]
    return said(
        "A point is a layer of a run. On the diagonal a rule gives just the rank that the network needs to "
        "keep its accuracy; above it keeps too much. Medians over layers {}: {}.",
        when(numbers, "lmd_ranks"),
        joined(parts),
    )


def _metrics_words(numbers: Numbers) -> Markup:
    """Describe which metrics could be fitted."""
    return said(
        "S′ of every layer in each latent metric, over its largest value. Of {} decompositions {} {} are "
        "valid; of the others lmd_layers.csv says why not.",
        numbers.reading("count", "lmd_layers", None, AT_THE_END),
        when(numbers, "lmd_layers"),
        numbers.reading("count", "lmd_layers", None, {"valid": True, **AT_THE_END}),
    )


def _evolution_words(numbers: Numbers) -> Markup:
    """Describe how the ranks change."""
    ends = (
        numbers.reading("median", "lmd_ranks", "value", {"rule": "participation", **where}, ".3g")
        for where in (UNTRAINED, AT_THE_END)
    )
    return said(
        "The participation ratio of every layer over training, each seed thin and the mean thick. Its median "
        "over layers is {} before training and {} at the end.",
        *ends,
    )


def _convergence_words(numbers: Numbers) -> Markup:
    """Describe how many layers still move."""
    return said(
        "The four criteria of stable convergence, of the layer that moves most; the dashed line is where "
        "they count as met. At the end {} of {} layers are stable; the theorem behind the decomposition "
        "assumes that all are.",
        numbers.reading("count", "lmd_convergence", None, {"stable": True, **AT_THE_END}),
        numbers.reading("count", "lmd_convergence", None, AT_THE_END),
    )


def _dimension_words(numbers: Numbers) -> Markup:
    """Describe what dimensions were estimated."""
    where = {"estimator": "mle", **AT_THE_END}
    return said(
        "Estimated dimension of the activations that enter and leave each layer. Its median {} is {} for "
        "what enters and {} for what leaves a layer (by maximum likelihood); the rank of a weight matrix is "
        "something else.",
        when(numbers, "lmd_dimension"),
        *(
            numbers.reading("median", "lmd_dimension", "dimension", {"space": space, **where}, ".3g")
            for space in ("input", "output")
        ),
    )


def _retrieval_words(numbers: Numbers) -> Markup:
    """Describe how often noisy images are found."""
    table = numbers.frames["lmd_retrieval"]
    where = {"noise": float(table["noise"].max()), **AT_THE_END}
    parts = [
        said(
            "{} in <code>{}</code>",
            numbers.reading("median", "lmd_retrieval", "accuracy", {"space": space, **where}, ".2f"),
            space,
        )
        for space in dict.fromkeys(table["space"])
    ]
    return said(
        "How often a noisy image finds its own among those stored (noise {}), in the latent coordinates of "
        "each layer, with pixels and the initial weights beside. Medians over layers {}: {}.",
        numbers.reading("max", "lmd_retrieval", "noise", None, "g"),
        when(numbers, "lmd_retrieval"),
        joined(parts),
    )


def _semantics_words(numbers: Numbers) -> Markup:
    """Describe how much of an axis is class."""
    epochs = [AT_THE_END, *([UNTRAINED] if numbers.frames["lmd_semantics"]["epoch"].nunique() > 1 else [])]
    parts = [numbers.reading("median", "lmd_semantics", "share", where, ".2f") for where in epochs]
    return said(
        "Which share of the variance along each latent axis is between classes, with the 95 % quantile for "
        "shuffled labels. Its median over all axes is {} {}{}.",
        parts[0],
        when(numbers, "lmd_semantics"),
        said(" and {} before: every direction of images carries some class", parts[1]) if parts[1:] else "",
    )


MATRICES = (
    Kind(
        name="spectra",
        title="Singular values, layer by layer",
        section="matrices",
        tables=("lmd_spectrum", "lmd_ranks", "lmd_tails"),
        lacks=needs("lmd_spectrum", "lmd_ranks", "lmd_layers"),
        draw=lambda r: draw.layer_spectra(
            r.frames["runs"], r.frames["lmd_spectrum"], r.frames["lmd_ranks"], r.frames.get("lmd_tails")
        ),
        caption=_spectra_words,
    ),
    Kind(
        name="ranks",
        title="Ranks by rule against the functional rank",
        section="matrices",
        tables=("lmd_ranks",),
        lacks=_no_rank,
        draw=lambda r: draw.ranks_against_functional(r.frames["lmd_ranks"]),
        caption=_ranks_words,
    ),
    Kind(
        name="metrics",
        title="S′ by metric",
        section="matrices",
        tables=("lmd_spectrum", "lmd_layers"),
        lacks=_one_metric,
        draw=lambda r: draw.latent_spectra(r.frames["runs"], r.frames["lmd_spectrum"]),
        caption=_metrics_words,
    ),
    Kind(
        name="evolution",
        title="Ranks over training",
        section="matrices",
        tables=("lmd_ranks",),
        lacks=_no_epochs,
        draw=lambda r: draw.rank_evolution(r.frames["runs"], r.frames["lmd_ranks"]),
        caption=_evolution_words,
    ),
    Kind(
        name="convergence",
        title="Drift and convergence",
        section="matrices",
        tables=("lmd_convergence",),
        lacks=needs("lmd_convergence"),
        draw=lambda r: draw.convergence_curves(r.frames["runs"], r.frames["lmd_convergence"]),
        caption=_convergence_words,
    ),
    Kind(
        name="dimension",
        title="Dimension of the activations",
        section="matrices",
        tables=("lmd_dimension",),
        lacks=needs("lmd_dimension"),
        draw=lambda r: draw.activation_dimension(r.frames["runs"], r.frames["lmd_dimension"]),
        caption=_dimension_words,
    ),
    Kind(
        name="retrieval",
        title="Retrieval of noisy images",
        section="matrices",
        tables=("lmd_retrieval",),
        lacks=needs("lmd_retrieval"),
        draw=lambda r: draw.retrieval_accuracy(r.frames["runs"], r.frames["lmd_retrieval"]),
        caption=_retrieval_words,
    ),
    Kind(
        name="semantics",
        title="Class meaning of latent axes",
        section="matrices",
        tables=("lmd_semantics",),
        lacks=needs("lmd_semantics"),
        draw=lambda r: draw.axis_semantics(r.frames["runs"], r.frames["lmd_semantics"]),
        caption=_semantics_words,
    ),
)
