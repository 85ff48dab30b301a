"""Fold: space folding of the straight paths between the images of every class pair."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field

from spaceprobe.data.idx_files import IMAGE_SETS
from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.study.runs.settings import (
    EPOCH_CHOICE,
    NUM_IMAGE_CLASSES,
    EpochChoice,
    checkpoints_of,
    data_key,
    data_of,
    network_of,
)
from spaceprobe.study.stage import (
    NOT_IN_KEY,
    Advance,
    Content,
    Flag,
    Frames,
    Inputs,
    Job,
    Part,
    Rows,
    RunStage,
    Sections,
    Settings,
    Table,
    WriteFile,
)

if TYPE_CHECKING:
    import numpy as np

    from spaceprobe.data.endpoints import ClassPair
    from spaceprobe.folding import GridFolding

IMAGES_PER_CLASS = 1_000  # of the MNIST test set, about: only for the progress of «all»


def parse_pairs(value: object) -> object:
    """Returns the class pairs of a list such as ``3-8,8-3``, or ``all``.

    Raises:
        ValueError: naming the item that is no pair of classes.
    """
    if value == "all":
        return value
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items:
        raise ValueError("write all, or source-target pairs such as 3-8,8-3")
    pairs = []
    for item in items:
        match = re.fullmatch(r"\s*(\d)-(\d)\s*", item, re.ASCII) if isinstance(item, str) else None
        if match is None:
            raise ValueError(
                f"{item!r} is no class pair: write source-target with classes 0 to "
                f"{NUM_IMAGE_CLASSES - 1}, such as 3-8, several as 3-8,8-3, or all; a study stands before "
                "it: spaceprobe fold STUDY --pairs 3-8"
            )
        pairs.append(f"{match[1]}-{match[2]}")
    if len(set(pairs)) < len(pairs):
        raise ValueError(f"a pair is named twice in {','.join(pairs)}")
    return tuple(pairs)


class FoldingSettings(Settings):
    """Which paths are measured, and how."""

    pairs: Annotated[
        Literal["all"] | tuple[str, ...],
        BeforeValidator(parse_pairs),
        Flag("--pairs", bare="all"),
        NOT_IN_KEY,
    ] = Field("all", description="class pairs source-target such as 3-8,8-3, or all")
    per_class: Annotated[Literal["all"] | Annotated[int, Field(ge=1, le=10_000)], Flag("--per-class")] = (
        Field(150, description="the first N test images of each class, or all")
    )
    method: Annotated[Literal["exact", "sampled", "jvp", "kernel"], Flag("--method")] = Field(
        "exact", description="every linear region, or evenly spaced points; jvp and kernel force an engine"
    )
    num_points: Annotated[int, Flag("--points")] = Field(
        100, ge=2, le=1_000_000, description="points of a sampled path, both ends included"
    )
    epoch: Annotated[EpochChoice, Flag("--epoch"), NOT_IN_KEY] = Field("both", description=EPOCH_CHOICE)
    threads: Annotated[int | None, Flag("--threads"), NOT_IN_KEY] = Field(
        None, ge=1, le=4096, description="of the kernel; by default OMP_NUM_THREADS, else all cores"
    )
    precision: Literal["float64", "float32"] = Field(
        "float64", description="of the kernel; float32 leaves close calls to float64, slowly in wide networks"
    )
    device: Annotated[Literal["auto", "cpu", "cuda"], Flag("--device"), NOT_IN_KEY] = Field(
        "auto", description="where paths are walked; auto takes a CUDA device where there is one"
    )

    def directed_pairs(self) -> "list[ClassPair]":
        """Returns the class pairs asked for, sorted."""
        from spaceprobe.data.endpoints import ClassPair

        if self.pairs == "all":
            return [ClassPair(*pair) for pair in itertools.product(range(NUM_IMAGE_CLASSES), repeat=2)]
        return sorted(ClassPair(int(pair[0]), int(pair[2])) for pair in self.pairs)

    def measurement(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns those of some settings that a measured number depends on."""
        idle = set() if self.method == "sampled" else {"num_points"}
        return {name: value for name, value in values.items() if name not in idle}


def _folding(sections: Sections) -> FoldingSettings:
    return cast(FoldingSettings, sections["folding"])


def _checkpoints(sections: Sections) -> Mapping[int, str]:
    return checkpoints_of(sections, _folding(sections).epoch)


def _check(sections: Sections) -> None:
    activation, dataset = network_of(sections).activation, data_of(sections).dataset
    if activation != "relu":
        raise SettingsError(
            f"network.activation: {activation} has no on and off to fold by, folding is measured for relu; "
            "set that, or leave fold and summarize out (study.stages: [train, lmd])"
        )
    if dataset not in IMAGE_SETS:
        raise SettingsError(
            f"data.dataset: {dataset} has no ten classes of images to walk between; "
            "set another, or leave fold and summarize out (study.stages: [train, lmd])"
        )


def _asks_gpu(sections: Sections) -> Literal["cuda", "auto", "cpu"]:
    return _folding(sections).device


def _plan(sections: Sections, inputs: Inputs) -> list[Part]:
    from spaceprobe.data.endpoints import walked_pairs

    settings = _folding(sections)
    (trained,) = inputs["train"]
    identity = json.dumps(settings.measurement(settings.identity()), sort_keys=True)
    # A folder for each way of measuring: trying another one loses nothing.
    folder = "folding-" + hashlib.sha256(identity.encode()).hexdigest()[:6]
    data_digest = data_key(sections)["data_digest"]
    num_images = IMAGES_PER_CLASS if settings.per_class == "all" else settings.per_class
    return [
        Part(
            f"{folder}/epoch{epoch}-{pair.source}-{pair.target}.npz",
            {
                "folding": settings.measurement(settings.key()),
                "data_digest": data_digest,
                "checkpoint": trained.files[name],
                "epoch": epoch,
                "pair": list(pair),
            },
            kin=f"folding-*/epoch{epoch}-{pair.source}-{pair.target}.npz",
            amount=num_images * (2 * num_images if pair.source != pair.target else num_images - 1),
        )
        for epoch, name in _checkpoints(sections).items()
        for pair in walked_pairs(settings.directed_pairs())
    ]


def _compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, Content]]:
    del write_file
    import torch

    from spaceprobe.data.endpoints import ClassPair, class_members
    from spaceprobe.folding import fold_grid
    from spaceprobe.study.runs.networks import load_data, load_network

    settings = _folding(job.sections)
    device = "cuda" if job.wants_gpu else "cpu"
    if job.wants_gpu and not torch.cuda.is_available():
        raise SpaceprobeError(
            "torch sees no CUDA device where the paths are walked; use --device cpu, or give the resource "
            "GPU to workers that have one"
        )
    test = load_data(data_of(job.sections)).test
    per_class = None if settings.per_class == "all" else settings.per_class
    members = class_members(test.targets.numpy(), per_class)
    (trained,) = job.inputs["train"]
    checkpoints = _checkpoints(job.sections)
    for epoch, parts in itertools.groupby(job.parts, key=lambda part: part.key["epoch"]):
        network = load_network(job.sections, job.folder, trained, checkpoints[epoch]).double()
        for part in parts:
            pair = ClassPair(*part.key["pair"])
            folding = fold_grid(
                network,
                test.inputs[members[pair.source]].double(),
                None if pair.source == pair.target else test.inputs[members[pair.target]].double(),
                method=settings.method,
                num_points=settings.num_points,
                device=device,
                threads=settings.threads,
                precision=settings.precision,
                progress=advance,
            )
            record = {
                "method": settings.method,
                "device": device,
                "num_walks": folding.num_paths // (2 if pair.source == pair.target else 1),
                "num_violations": folding.num_violations,
            }
            yield part, Content(record, arrays=_to_arrays(pair, folding, members))


def _to_arrays(
    pair: "ClassPair", folding: "GridFolding", members: "Mapping[int, np.ndarray]"
) -> "dict[str, np.ndarray]":
    arrays = {f"images-{label}": members[label] for label in pair}
    directed = {f"{pair.source}-{pair.target}": (folding.chi, folding.peak)}
    if pair.source != pair.target:
        directed[f"{pair.target}-{pair.source}"] = (folding.chi_back, folding.peak_back)
    for name, measures in directed.items():
        for measure, counts in zip(MEASURES, measures, strict=True):
            arrays[f"{measure}-{name}-cells"] = counts.cells
            arrays[f"{measure}-{name}-row-max"] = counts.row_max
    return arrays


def _tabulate(sections: Sections, parts: Sequence[tuple[Part, Content]]) -> Rows:
    settings = _folding(sections)
    asked = set(settings.directed_pairs())
    way = {
        "method": settings.method,
        "num_points": settings.num_points if settings.method == "sampled" else None,
    }
    rows: list[dict[str, Any]] = []
    checks: list[dict[str, Any]] = []
    cells: dict[tuple[int, str], list[Any]] = {}
    for part, content in parts:
        source, target = part.key["pair"]
        walked = {"epoch": part.key["epoch"], "source_class": source, "target_class": target}
        checks.append({**walked, **content.record})
        for pair in sorted({(source, target), (target, source)} & asked):
            for measure in MEASURES:
                some = content.arrays[f"{measure}-{pair[0]}-{pair[1]}-cells"]
                cells.setdefault((part.key["epoch"], measure), []).append(some)
            for row in _rows(content.arrays, *pair):
                rows.append(
                    {
                        "epoch": part.key["epoch"],
                        "source_class": pair[0],
                        "target_class": pair[1],
                        **way,
                        **row,
                    }
                )
    histogram = [
        {"epoch": epoch, "measure": measure, **way, **row}
        for (epoch, measure), some in cells.items()
        for row in _histogram(some)
    ]
    return {"folding": rows, "folding_checks": checks, "folding_histogram": histogram}


def _histogram(cells: Sequence["np.ndarray"]) -> Iterator[dict[str, Any]]:
    """Yields how many paths of several class pairs fold how far."""
    import numpy as np

    from spaceprobe.analysis.statistics import HISTOGRAM_BINS, folding_histogram

    for number, num_paths in enumerate(folding_histogram(np.concatenate(cells)).tolist()):
        low = max(0, number - 1) / HISTOGRAM_BINS
        yield {"low": low, "high": number / HISTOGRAM_BINS, "num_paths": num_paths}


def _rows(arrays: Mapping[str, Any], source: int, target: int) -> Iterator[dict[str, Any]]:
    from spaceprobe.analysis.statistics import count_zero_length, folding_statistics

    num_zero_length = count_zero_length(arrays[f"chi-{source}-{target}-cells"])
    for measure in MEASURES:
        yield {
            "measure": measure,
            **folding_statistics(
                arrays[f"{measure}-{source}-{target}-cells"],
                arrays[f"{measure}-{source}-{target}-row-max"],
                num_sources=len(arrays[f"images-{source}"]),
                num_targets=len(arrays[f"images-{target}"]),
                num_zero_length=num_zero_length,
            ),
        }


MEASURES = ("chi", "peak")
STATISTICS = (
    *("num_paths", "num_sources", "num_targets", "zero_length", "folded", "mean", "max"),
    *("q05", "q25", "q50", "q75", "q95", "row_max_median"),
)
KEY = ("epoch", "source_class", "target_class", "measure", "method", "num_points")


def _present(tables: Frames) -> str:
    from spaceprobe.study.stages.summarize import architecture_lines

    if tables["folding"].empty:
        return "no paths were measured"
    checks = tables["folding_checks"]
    walks = f"{checks['num_walks'].sum():,} walks, each read from both ends"
    if (checks["method"] == "sampled").all():
        check = "sampled paths have no regions to check"
    else:
        num_violations = int(checks["num_violations"].sum())
        check = f"region check: {num_violations or 'no'} violation{'s' * (num_violations != 1)}"
    return f"{architecture_lines(tables['runs'], tables['folding'])}\n{walks}; {check}"


STAGE = RunStage(
    name="fold",
    summary="Measure the space folding of trained networks.",
    example="spaceprobe fold depth-sweep --pairs 3-8,8-3 --method exact",
    sections={"folding": FoldingSettings},
    tables=(
        Table("folding", key=KEY, columns=(*KEY, *STATISTICS)),
        Table(
            "folding_checks",
            key=(*KEY[:3], "method"),
            columns=(*KEY[:3], "method", "device", "num_walks", "num_violations"),
        ),
        Table(
            "folding_histogram",
            key=("epoch", *KEY[3:], "low", "high"),
            columns=("epoch", *KEY[3:], "low", "high", "num_paths"),
        ),
    ),
    needs=("train",),
    unit="path",
    check=_check,
    asks_gpu=_asks_gpu,
    plan=_plan,
    compute=_compute,
    tabulate=_tabulate,
    present=_present,
)
