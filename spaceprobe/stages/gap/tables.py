"""The table of what goes with the gap between training and test."""

from spaceprobe.tables.table import Column, Table

GAP_RANKS = Table(
    "gap_ranks",
    key=(),
    columns=(
        Column(
            "epoch",
            "integer",
            "when the measure was taken; empty where it is the last one and the networks' last ones differ",
        ),
        Column("is_last", "boolean", "whether that is each network's last epoch"),
        Column(
            "reading", "text", "how it was measured, where a study measures it in several ways; else empty"
        ),
        Column(
            "measure",
            "text",
            "a column of complexity.csv; of aggregates.csv, of that epoch; of path_images.csv, its mean over "
            "paths; or train_loss of training.csv",
        ),
        Column(
            "response",
            "text",
            "accuracy_gap (training minus test accuracy) or loss_gap (test minus training loss), after the "
            "last epoch",
        ),
        Column(
            "min_train_accuracy",
            "number",
            "least training accuracy of the networks; 0 for all",
            low=0,
            high=1,
        ),
        Column(
            "axis",
            "text",
            "the setting in which the networks of a group differ, and in nothing else; mean for the mean "
            "over settings (the granulated coefficient); all where all networks of a seed are one group",
        ),
        Column("num_runs", "integer", "number of networks with measure and response"),
        Column("num_groups", "integer", "number of groups with a τ"),
        Column("num_pairs", "integer", "number of pairs of networks in these groups"),
        Column("num_seeds", "integer", "number of seeds with a group"),
        Column(
            "tau",
            "number",
            "Kendall's τ of measure and response, in [-1, 1]: mean over groups of a seed, then over seeds",
            low=-1,
            high=1,
        ),
        Column(
            "tau_low", "number", "lower limit of its 95 % t interval over seeds; empty where note says why"
        ),
        Column(
            "tau_high", "number", "upper limit of its 95 % t interval over seeds; empty where note says why"
        ),
        Column("note", "text", "why a cell is empty, and what was left out"),
    ),
    meaning="how one measure at one epoch goes with the gap of the trained networks, along one setting",
)

TABLES = (GAP_RANKS,)
