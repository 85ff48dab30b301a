"""Whether networks had come to rest when they were looked at: what still moves may read otherwise later."""

from markupsafe import Markup

from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import LAST, Numbers


def converged_by_the_end(numbers: Numbers) -> Markup:
    """Return a sentence on how many layers had stably converged at the last epoch of their network."""
    return sentence(
        " At the last epoch {} of {} layers had stably converged: what still moves may read otherwise later.",
        numbers.statistic("count", "lmd_convergence", None, {"epoch": LAST, "converged": True}),
        numbers.statistic("count", "lmd_convergence", None, {"epoch": LAST}),
    )
