"""Which ways of walking a path an activation allows, by its name in a study. Without torch."""

from spaceprobe.networks.entry import Engine

PIECEWISE_LINEAR = (
    "relu", "leaky-relu", "prelu", "rrelu", "relu6", "hardtanh", "hardsigmoid", "softshrink", "hardshrink",
    "threshold", "abs",
)  # fmt: skip
TURNING = ("gelu", "silu", "mish", "hardswish")
"""Smooth activations that fall before they rise."""

RISING = (
    "sigmoid", "tanh", "elu", "celu", "selu", "softplus", "softsign", "tanhshrink", "log-sigmoid"
)  # fmt: skip
"""Smooth activations that only rise."""

BENT_AT_ZERO = ("relu", "leaky-relu", "prelu", "abs", *TURNING, *RISING)
"""Those whose units have one bit, the sign of the pre-activation, and that draw nothing in training."""

JUMPING = ("hardshrink", "threshold", "sign")
"""Activations that are not continuous; the last one is that of a binary MLP."""

SAMPLED: tuple[Engine, ...] = ("sampled", "adaptive")
ANY_PIECEWISE_LINEAR: tuple[Engine, ...] = ("exact", "layerwise", *SAMPLED)


def engines_for(activation: str, with_relu: tuple[Engine, ...]) -> tuple[Engine, ...]:
    """Return the ways to walk a network with an activation, given those with ReLUs in its place.

    >>> engines_for("gelu", ("exact", "layerwise", "jvp", "sampled", "adaptive"))
    ('sampled', 'adaptive')
    """
    if activation == "relu":
        return with_relu
    if activation in PIECEWISE_LINEAR:
        return tuple(engine for engine in with_relu if engine in ANY_PIECEWISE_LINEAR)
    return SAMPLED if activation in (*TURNING, *RISING) else ()
