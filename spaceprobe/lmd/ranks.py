"""The rank of one weight matrix by every rule, and which rule is the default."""

from dataclasses import asdict

import numpy as np
import pandas as pd
from jaxtyping import Float64

from spaceprobe.lmd.rank_rules import RULES, ZERO_MATRIX, RankEstimate
from spaceprobe.lmd.rounding import FLOAT32_EPSILON
from spaceprobe.lmd.spectrum import Spectrum

DEFAULT_RULE = "participation"
"""The default without data."""

DEFAULT_DATA_RULE = "data99"
"""The default where it is valid: with data over which the layer is not constant."""

FUNCTIONAL = "functional"
"""The name of the measured rank among the rules."""

NOT_MEASURED = "not measured"
"""Why there is no functional rank."""


def rank_table(
    singular_values: Float64[np.ndarray, "values"],
    shape: tuple[int, int],
    init_variance: float | None = None,
    epsilon: float = FLOAT32_EPSILON,
    *,
    output_variances: Float64[np.ndarray, "variances"] | None = None,
    functional: RankEstimate | None = None,
) -> pd.DataFrame:
    """Return the rank by every rule, one row for each in the order of `RULES`.

    Columns are ``rule``, those of `RankEstimate`, and ``default``: true in one row, `DEFAULT_DATA_RULE`
    where it is valid, else `DEFAULT_RULE`. The last row is `FUNCTIONAL`, the measured rank.

    Args:
        singular_values: all of them, descending.
        shape: rows and columns of the matrix.
        init_variance: variance of its entries at initialisation, 1/(3·inputs) for torch's
            default; None where it is not known.
        epsilon: relative rounding of its entries.
        output_variances: `spectrum.output_variances` of the layer; None without data.
        functional: what `functional.functional_rank` measured, or a RankEstimate with the reason why it
            could not; None where it was not asked for.

    Raises:
        ValueError: if the singular values are not min(shape) finite, descending numbers ≥ 0, the output
            variances are not as many such numbers, or the variance is not positive.
    """
    spectrum = Spectrum(singular_values, shape, init_variance, epsilon, output_variances)
    estimates = {name: estimate_rank(name, spectrum) for name in RULES}
    default = DEFAULT_DATA_RULE if estimates[DEFAULT_DATA_RULE].valid else DEFAULT_RULE
    estimates[FUNCTIONAL] = functional or RankEstimate(0.0, 0, valid=False, reason=NOT_MEASURED)
    return pd.DataFrame(
        {"rule": name, **asdict(estimate), "default": name == default} for name, estimate in estimates.items()
    )


def estimate_rank(rule: str, spectrum: Spectrum) -> RankEstimate:
    """Return the rank by one rule of `RULES`, for a zero matrix as for any other."""
    if spectrum.values[0] == 0 and rule != "numerical":
        return RankEstimate(0.0, 0, valid=False, reason=ZERO_MATRIX)
    return RULES[rule](spectrum)
