"""Lmd: the Layer Matrix Decomposition of every weight matrix."""

from spaceprobe.stages.lmd.computation import compute
from spaceprobe.stages.lmd.file_summary import present_file
from spaceprobe.stages.lmd.parts import check, plan, sources
from spaceprobe.stages.lmd.settings import LmdSettings
from spaceprobe.stages.lmd.summary import present, warn
from spaceprobe.stages.lmd.tables import TABLES, asked_tables, tabulate, tabulate_records
from spaceprobe.stages.lmd.weight_steps import open_file_or_steps
from spaceprobe.stages.stage import FileInput, FileOption, RunStage
from spaceprobe.stages.train.parts import check_trust

STAGE = RunStage(
    name="lmd",
    summary="Decompose the weight matrices of trained networks.",
    example="spaceprobe lmd quickstart --metric identity,laplacian --epoch last",
    sections={"lmd": LmdSettings},
    tables=TABLES,
    asked_tables=asked_tables,
    needs=("train",),
    unit="epoch",
    check=check,
    check_trust=check_trust,
    plan=plan,
    compute=compute,
    tabulate=tabulate,
    present=present,
    warn=warn,
    sources=sources,
    file_input=FileInput(
        flag="--weights",
        summary="Decompose every matrix of a .safetensors, .pt, .pth, .bin or .ckpt file, of a folder "
        "with an index.json, or of a folder of steps, instead of a study; repeatable.",
        options=(
            FileOption("--heads", "Attention heads, for the products of their matrices."),
            FileOption(
                "--transposed",
                "Kernels of transposed convolutions, which are stored inputs first; repeatable.",
                "PATTERN",
                is_text=True,
                is_repeatable=True,
            ),
            FileOption(
                "--groups",
                "Groups of convolutions, which a file does not tell; repeatable.",
                "PATTERN=G",
                is_text=True,
                is_repeatable=True,
            ),
            FileOption("--leading", "Only the N leading values of larger matrices, with their errors."),
            FileOption("--key", "Which state dict of a checkpoint, as model.ema.", "NAME", is_text=True),
            FileOption(
                "--layer",
                "Only matrices whose name matches, as '*.attn.*'; repeatable.",
                "PATTERN",
                is_text=True,
                is_repeatable=True,
            ),
            FileOption(
                "--exclude",
                "Not those whose name matches; repeatable.",
                "PATTERN",
                is_text=True,
                is_repeatable=True,
            ),
        ),
        unit="matrix",
        open=open_file_or_steps,
        tabulate=tabulate_records,
        present=present_file,
    ),
)
