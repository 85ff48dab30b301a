"""Which ways of walking a path an activation allows, by its name in a study. Without torch."""

from spaceprobe.networks.entry import Engine

PIECEWISE_LINEAR = (
    "relu", "leaky-relu", "prelu", "relu6", "hardtanh", "hardsigmoid", "abs"
)  # fmt: skip
SMOOTH = ("sigmoid", "tanh", "gelu", "elu", "silu", "mish", "softplus", "hardswish")

ANY_PIECEWISE_LINEAR: tuple[Engine, ...] = ("exact", "layerwise", "sampled")


def engines_for(activation: str, with_relu: tuple[Engine, ...]) -> tuple[Engine, ...]:
    """Return the ways to walk a network with an activation, given those with ReLUs in its place.

    >>> engines_for("gelu", ("exact", "layerwise", "jvp", "sampled"))
    ('sampled',)
    """
    if activation == "relu":
        return with_relu
    if activation in PIECEWISE_LINEAR:
        return tuple(engine for engine in with_relu if engine in ANY_PIECEWISE_LINEAR)
    return ("sampled",) if activation in SMOOTH else ()
