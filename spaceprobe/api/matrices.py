"""The five factors of a weight, of a layer, or of every matrix of a module."""

from typing import Any, overload

from numpy.typing import ArrayLike
from torch import Tensor, nn

from spaceprobe.folding.guards import check_modules
from spaceprobe.folding.points import read_points
from spaceprobe.lmd.factors import Factors
from spaceprobe.lmd.factors import decompose as decompose_matrix
from spaceprobe.lmd.metrics import LatentMetric
from spaceprobe.machine.module_forms import original_of, why_no_weights
from spaceprobe.weights.matrices import find_matrices
from spaceprobe.weights.modules import CONVOLUTIONS, hints_of


@overload
def decompose(
    weight: nn.Module, rank: int | None = None, metric: str | LatentMetric = "identity"
) -> Factors | dict[str, Factors]: ...


@overload
def decompose(
    weight: Tensor | ArrayLike, rank: int | None = None, metric: str | LatentMetric = "identity"
) -> Factors: ...


def decompose(
    weight: Any, rank: int | None = None, metric: str | LatentMetric = "identity"
) -> Factors | dict[str, Factors]:
    """Return the five factors of a weight matrix, of a layer's, or of every matrix of a module by its name.

    Args:
        weight: one of

            - a matrix of shape (outputs, inputs), as in `nn.Linear`: a tensor, an array or lists;
            - a layer: `nn.Linear`, or a convolution without groups, whose kernel is unfolded: outputs ×
              (inputs · height · width);
            - any other module: all matrices among its weights, found and named as in a file of them by
              ``spaceprobe lmd --weights`` (docs/weights.md): ``features.0.weight``, of a grouped convolution
              ``features.0.weight.group1``, of attention ``attention.head0.query-key``; tied weights once.
        rank: how many components to keep, from 0 to min(outputs, inputs); None keeps all. Of a module's
            matrices that have fewer, all are kept.
        metric: the latent metric, a name in `spaceprobe.lmd.metrics.METRICS` or a function.

    Returns:
        The factors, as `spaceprobe.lmd.decompose` returns them; of a module that is not one of these layers a
        dict of them by name, in the order of its weights.

    Raises:
        ValueError: see `spaceprobe.lmd.decompose`; or the module has no matrix, or weights that are not
            numbers, such as those of a lazy module before its first pass.
    """
    if isinstance(weight, nn.Module):
        weight = original_of(weight)
        check_modules(weight, why_no_weights)
    if isinstance(weight, nn.Linear):
        return decompose_matrix(weight.weight, rank, metric)
    if isinstance(weight, CONVOLUTIONS) and weight.groups == 1:
        return decompose_matrix(weight.weight.flatten(1), rank, metric)
    if isinstance(weight, nn.Module):
        return _decompose_all(weight, rank, metric)
    matrix = read_points("weight", weight)
    if matrix.ndim > 2:
        raise ValueError(
            f"weight: of shape {tuple(matrix.shape)}, a matrix is needed; give the convolution itself, or "
            "its kernel unfolded, weight.reshape(len(weight), -1)"
        )
    return decompose_matrix(matrix, rank, metric)


def _decompose_all(module: nn.Module, rank: int | None, metric: str | LatentMetric) -> dict[str, Factors]:
    matrices = find_matrices(module.state_dict(), hints_of(module)).matrices
    if not matrices:
        raise ValueError(f"the module {type(module).__name__} has no weight matrix")
    factors = {}
    for matrix in matrices:
        most = min(matrix.shape)
        try:
            factors[matrix.name] = decompose_matrix(
                matrix.matrix, rank if rank is None else min(rank, most), metric
            )
        except ValueError as error:
            raise ValueError(f"{matrix.name}: {error}") from error
    return factors
