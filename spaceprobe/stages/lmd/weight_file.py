"""The Layer Matrix Decomposition of every matrix in a file of weights, without a study."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.stages.lmd.tables import OF_A_FILE
from spaceprobe.stages.stage import Part, PartContent
from spaceprobe.tables.table import Table
from spaceprobe.weights.quoting import path_text, quote_if_needed

if TYPE_CHECKING:
    from torch import nn

    from spaceprobe.stages.lmd.matrix import Decomposition
    from spaceprobe.stages.lmd.model_matrices import ModelMatrices
    from spaceprobe.weights.config import Configs
    from spaceprobe.weights.layouts.layout import Hints
    from spaceprobe.weights.matrices import NamedMatrix

MAX_ENTRIES = 2**26
"""Chosen: 8192 × 8192, some 6 GB while it is decomposed in full. A constant, so that a call gives the same
tables on every machine."""

BYTES_PER_ENTRY = 96
"""Measured: a square matrix at its peak; a tall one takes 70, a wide one 50. Most of it is LAPACK's."""

MAX_LEADING_ENTRIES = 2**29
"""Chosen: 128 thousand × 4096, some 7 GB for its leading values, at 12 bytes an entry beside the file."""


def open_weights(path: Path, options: Mapping[str, Any]) -> "WeightFile":
    """Find the matrices of a file of weights, or of a model in several.

    Args:
        path: of the weights, as `spaceprobe.weights.whole_models.open_model` takes it.
        options: ``heads`` of attention layers and the number of ``leading`` values, the ``key`` of a
            checkpoint's state dict, patterns of matrices to choose (``layer``) and to ``exclude``, of
            ``transposed`` kernels and of convolutions with ``groups``; each None without.

    Raises:
        WeightFileError: a file cannot be read.
        ChoiceError: the file holds several state dicts.
        SettingsError: a pattern matches no matrix, or the heads or the patterns of kernels do not fit.
        SpaceprobeError: the file holds no matrix, or a config beside it cannot be read or does not fit.
    """
    from spaceprobe.stages.lmd.model_matrices import ModelMatrices
    from spaceprobe.weights.config import read_configs
    from spaceprobe.weights.whole_models import open_model

    model = open_model(path, key=options.get("key"))
    configs = read_configs(path if path.is_dir() else path.parent)
    matrices = ModelMatrices(path, model, _hints(path, options, configs))
    return _with_chosen(path, options, matrices, model.origin, configs.digests)


def open_network(network: "nn.Module", name: str, weights: str, options: Mapping[str, Any]) -> "WeightFile":
    """Find the matrices of a network in memory, as those of a file of its weights.

    What a file does not tell, the groups of convolutions, which are transposed, and heads, the network does.

    Args:
        network: the network.
        name: what names it.
        weights: where its weights come from, in words.
        options: see `open_weights`; without ``key``.

    Raises:
        SettingsError: a pattern matches no matrix, or the heads or the patterns of kernels do not fit.
        SpaceprobeError: the network has no matrix.
    """
    from spaceprobe.stages.lmd.model_matrices import NetworkMatrices
    from spaceprobe.weights.config import Configs
    from spaceprobe.weights.modules import hints_of

    path, configs = Path(name), Configs()
    known = hints_of(network)
    grouped = (f"{kernel}={number}" for kernel, number in known.groups.items() if number > 1)
    for option, patterns in {"transposed": known.transposed, "groups": grouped}.items():
        options = {**options, option: (*(options.get(option) or ()), *patterns) or None}
    options = {**options, "heads": options["heads"] or known.heads}
    matrices = NetworkMatrices(name, network, replace(_hints(path, options, configs), knows_kernels=True))
    return _with_chosen(path, options, matrices, weights, configs.digests)


def _hints(path: Path, options: Mapping[str, Any], configs: "Configs") -> "Hints":
    """Return what the options and configs tell of tensors.

    Raises:
        SettingsError: an option is not written as it has to be.
    """
    from spaceprobe.weights.hints import read_hints
    from spaceprobe.weights.layouts.layout import HintError

    try:
        patterns = (options.get("transposed") or (), options.get("groups") or ())
        return read_hints(options["heads"], *patterns, configs)
    except HintError as error:
        raise SettingsError(f"{path_text(path)}: {error}") from error


def _with_chosen(
    path: Path,
    options: Mapping[str, Any],
    matrices: "ModelMatrices",
    origin: str,
    configs: Mapping[str, str],
) -> "WeightFile":
    """Return the matrices that the options choose.

    Raises:
        SettingsError: a pattern matches none.
        SpaceprobeError: there is none.
    """
    from spaceprobe.weights.selection import describe_selection, select

    if not matrices.planned:
        raise SpaceprobeError(f"{path}: holds no matrix ({matrices.skipped}); give weights that do")
    layer, exclude = options.get("layer") or (), options.get("exclude") or ()
    try:
        chosen = select([matrix.name for matrix in matrices.planned], layer, exclude)
    except SettingsError as error:
        raise SettingsError(f"{path_text(path)}: {error}") from error
    selection = describe_selection(len(chosen), sum(chosen), layer, exclude)
    matrices.keep(chosen)
    return WeightFile(path, options, matrices, "; ".join(filter(None, [origin, selection])), configs)


class WeightFile:
    """The matrices of a file of weights, each a part of its own.

    Attributes:
        path: of the file.
        name: of its folder of results: readable, and another one for other weights or other options.
        parts: one for each matrix.
        tables: the CSVs that it fills.
        part_pattern: a regular expression of the files of parts.
        factors_shown: these files as a terminal shows them.
        digest: the SHA-256 of the weights.
        origin: what of the file is read and what is not, in words; empty for all of it.
        skipped: what is not a matrix, in words; empty for nothing.
        facts: what provenance.json says about the file, and about the configs beside it.
    """

    part_pattern = r"factors/[0-9]{4,}\.npz"
    factors_shown = "factors/*.npz"
    tables: Sequence[Table] = OF_A_FILE

    def __init__(
        self,
        path: Path,
        options: Mapping[str, Any],
        matrices: "ModelMatrices",
        origin: str,
        configs: Mapping[str, str],
    ) -> None:
        digest = matrices.digest()
        self.path = path
        self.digest = digest
        self.name = folder_name(matrices.stem(), digest, options)
        self.origin = origin
        self.skipped = matrices.skipped
        numbers = {name: options[name] for name in ("heads", "leading")}
        choices = {name: options[name] for name in ("layer", "exclude") if options.get(name)}
        # What changes the numbers of a matrix; what chooses among matrices does not.
        told: dict[str, Any] = {
            name: options[name] for name in ("key", "transposed", "groups") if options.get(name)
        }
        told |= {"configs": dict(configs)} if configs else {}
        self.facts: Mapping[str, Any] = {
            "path": path_text(path),
            "sha256": digest,
            **numbers,
            **told,
            **choices,
            **({"origin": origin} if origin else {}),
            "skipped": self.skipped,
        }
        key = {"sha256": digest, **numbers, **told}
        self.parts: Sequence[Part] = [
            Part(f"factors/{number:04d}.npz", {**key, "name": matrix.name}, amount=1)
            for number, matrix in enumerate(matrices.planned)
        ]
        self._leading = options["leading"]
        self._matrices = matrices
        self._numbers = {part.path: number for number, part in enumerate(self.parts)}

    def title(self, part: Part) -> str:
        """Return the name of a part's matrix, as a terminal may show it."""
        return quote_if_needed(part.key["name"])

    def release(self) -> None:
        """Free the tensors that were read; they are read again where they are needed."""
        self._matrices.release()

    def compute(self, part: Part) -> PartContent:
        """Decompose one matrix, with one torch thread, whatever the machine: more change last bits.

        The product of two factors over a dimension below both its sides is decomposed without being formed,
        all its values other than 0, with and without ``leading``. A matrix of more than `MAX_ENTRIES` entries
        (of more than `MAX_LEADING_ENTRIES` where only leading values are computed by iteration) is not
        decomposed: the content's error says so, with the way out.
        """
        from spaceprobe.machine.torch_threads import one_thread
        from spaceprobe.stages.lmd.matrix import factor_arrays

        number = self._numbers[part.path]
        matrix = self._matrices.read(number)
        where = {"layer": number, "name": matrix.name, "kind": matrix.kind}
        try:
            with one_thread():
                decomposition = _decompose(matrix, self._leading)
        except ValueError as error:  # NaN, infinite, too large: the others are decomposed all the same
            num_outputs, num_inputs = matrix.shape
            sides = {"num_outputs": num_outputs, "num_inputs": num_inputs}
            layer = {**where, **sides, "valid": False, "reason": str(error)}
            return PartContent({"note": matrix.note, "lmd_layers": [layer]}, error=str(error))
        rows = {
            table: [{**where, **row} for row in table_rows]
            for table, table_rows in decomposition.rows.items()
        }
        note = "; ".join(filter(None, [matrix.note, decomposition.note]))
        return PartContent({"note": note, **rows}, factor_arrays("matrix", decomposition))


def folder_name(stem: str, digest: str, options: Mapping[str, Any]) -> str:
    """Return the name of the folder of results of weights, given what they are called and their digest."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-") or "weights"
    return f"weights-{readable[:80]}-{_short_hash(digest, options)}"


def _short_hash(digest: str, options: Mapping[str, Any]) -> str:
    """Return six hexadecimal digits that name a folder of results: of the weights, and of options if any.

    Without options they are the first of the weights' own digest. The order of patterns that choose changes
    nothing; of groups the first pattern that fits counts.
    """
    given: dict[str, Any] = {}
    for name, value in sorted(options.items()):
        is_unordered = isinstance(value, tuple | list) and name != "groups"
        if value:
            given[name] = sorted({*value}) if is_unordered else value
    if given:
        digest = hashlib.sha256(json.dumps([digest, given]).encode()).hexdigest()
    return digest[:6]


def _decompose(matrix: "NamedMatrix", leading: int | None) -> "Decomposition":
    from spaceprobe.stages.lmd.latent_metrics import IDENTITY
    from spaceprobe.stages.lmd.leading_values import decompose_leading
    from spaceprobe.stages.lmd.matrix import Background, decompose_matrix
    from spaceprobe.stages.lmd.thin_product import decompose_product

    if matrix.is_thin_product:
        return decompose_product(matrix.factors[0], matrix.factors[-1])
    if leading is not None and leading >= min(matrix.shape):
        leading = None
    _check_size(matrix.shape, leading)
    if leading is not None:
        return decompose_leading(matrix.matrix, leading)
    return decompose_matrix(matrix.matrix, [IDENTITY], Background())


def _check_size(shape: tuple[int, int], leading: int | None) -> None:
    """Refuse a matrix whose decomposition takes too much memory.

    Raises:
        ValueError: it does; the message says how much, and the way out.
    """
    from spaceprobe.stages.lmd.leading_values import is_iterated, max_iterated

    num_entries = shape[0] * shape[1]
    is_frugal = leading is not None and is_iterated(shape, leading)
    most = MAX_LEADING_ENTRIES if is_frugal else MAX_ENTRIES
    if num_entries <= most:
        return
    way_out = "decompose a part of it, saved to a file of its own"
    if not is_frugal and max_iterated(shape) and num_entries <= MAX_LEADING_ENTRIES:
        way_out = f"give --leading N, N at most {max_iterated(shape)}, for its leading values"
    needed = "" if is_frugal else f" (it would take some {num_entries * BYTES_PER_ENTRY / 1e9:.2g} GB)"
    raise ValueError(
        f"{shape[0]} × {shape[1]}: {num_entries} entries, at most {most} are decomposed "
        f"{'by iteration' if is_frugal else 'in full'}{needed}; {way_out}"
    )
