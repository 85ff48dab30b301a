"""An MLP whose first hidden layer has twice the width of the others."""

from spaceprobe.networks.models.mlp import mlp_entry


def _hidden_widths(options):
    first, *others = options.hidden_widths
    return [2 * first, *others]


ENTRY = mlp_entry(_hidden_widths)
