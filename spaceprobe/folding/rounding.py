"""How much of the scale of a value the layer behind it inherits.

A scale says what a value was computed from; tolerance · scale tells zero from rounding (docs/definitions.md,
"Settling"). Carried through all layers as |W|·scale + |bias| it has the tolerance's margin over rounding once
more in every layer, and outgrows the values: by 10^5 in thirty layers of ReLUs, by 10^12 in some networks of
others. What a layer rounds is in proportion to the values that it is given; what these have inherited is a
few ε of what they were computed from. So a layer is given the scale ::

    s = |x| + kept · s_before,    kept = ROUNDINGS · ε / tolerance

where s_before is what x was computed from: tolerance · s bounds what rounding did to x, and s grows with the
values.
"""

ROUNDINGS = 32
"""Chosen: by how many ε of its scale a value may differ from the exact one. A sum of 4,608 terms has less
than one, and the errors of a thousand layers that do not know of each other add up to as many."""


def kept_share(tolerance: float, epsilon: float) -> float:
    """Return which share of its scale a value hands on; ε is that of its precision."""
    return min(1.0, ROUNDINGS * epsilon / tolerance)
