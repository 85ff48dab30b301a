"""What commands print at their end fits 80 columns, each header over its cells."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spaceprobe.analysis.correlations import correlation_table
from spaceprobe.report.comparison import ComparisonReport, comparison_lines
from spaceprobe.results.folder_size import FolderSize
from spaceprobe.results.readings import DECLARED
from spaceprobe.results.side_by_side import SideBySide
from spaceprobe.results.status import RunStatus, StudyStatus, status_lines
from spaceprobe.stages import stage_named
from spaceprobe.stages.summarize.tables import CORRELATIONS
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.text import TextColumn, count, display_width, fill, text_table
from tests.test_analysis_aggregates import frames_of
from tests.test_analysis_correlations import ARCHITECTURES, make_study, make_two_axes

HEADS = r"(architecture|activation|sample|state|layer|run|name|quantity|lr|seed)\b"
TWELVE = tuple(f"{depth}x{width}" for depth in (2, 3, 4, 6) for width in (10, 100, 300))


def check_lines(text):
    """Check that no line is wider than a terminal, and that every cell is aligned with its header."""
    lines = [line for line in text.splitlines() if not line.startswith(("tables ", "factors ", "compare "))]
    assert max(map(display_width, lines)) <= 80
    heads, num_tables = None, 0
    for line in lines:
        spans = [match.span() for match in re.finditer(r"\S+(?: \S+)*", line)]
        if re.match(rf" *{HEADS}(  |$)", line):
            heads, num_tables = spans, num_tables + 1
        elif heads is not None and all(
            any(start == left or end == right for left, right in heads) for start, end in spans
        ):
            continue
        else:
            heads = None
    return num_tables


def summarized(runs, folding):
    frames = frames_of(runs, folding)
    frames = frames.with_table(CORRELATIONS, correlation_table(frames, CORRELATIONS))
    return stage_named("summarize").present(frames)


# The layout itself.


def test_numbers_are_right_aligned_under_their_header():
    columns = [TextColumn("χ", ["0.5 ± 0.1", "-"]), TextColumn("long header", ["1", "22"])]
    key = [TextColumn("name", ["a", "bbbbbb"], is_number=False)]
    assert [*text_table(key, columns)] == [
        "name            χ  long header",
        "a       0.5 ± 0.1            1",
        "bbbbbb          -           22",
    ]


def test_columns_without_a_value_are_left_out():
    key = [TextColumn("name", ["a"], is_number=False)]
    assert [*text_table(key, [TextColumn("x", ["-"]), TextColumn("y", [""]), TextColumn("z", ["1"])])] == [
        "name  z",
        "a     1",
    ]


def test_a_wide_table_is_in_blocks_with_the_key_first():
    key = [TextColumn("k", ["1", "2"])]
    columns = [TextColumn(name * 8, ["3", "4"]) for name in "abc"]
    assert [*text_table(key, columns, width=21)] == [
        "k  aaaaaaaa  bbbbbbbb",
        "1         3         3",
        "2         4         4",
        "k  cccccccc",
        "1         3",
        "2         4",
    ]


def test_a_table_too_wide_for_blocks_has_a_block_for_each_row():
    key = [TextColumn("k", ["long" * 3, "b"], is_number=False)]
    columns = [TextColumn("x", ["one two three", "4"]), TextColumn("yy", ["5", ""])]
    assert [*text_table(key, columns, width=16)] == [
        "k longlonglong",
        "  x   one two",
        "      three",
        "  yy  5",
        "k b",
        "  x   4",
    ]


def test_wide_letters_count_twice():
    table = [*text_table([TextColumn("k", ["深い", "ab"], is_number=False)], [TextColumn("v", ["1", "2"])])]
    assert table == ["k     v", "深い  1", "ab    2"]
    assert fill("χ " * 45, "  ")[1].startswith("  χ")
    assert (count(1, "seed"), count(1200, "run")) == ("1 seed", "1,200 runs")


# The stages' closing tables.


@pytest.mark.parametrize(
    ("study", "num_tables"),
    [
        (make_study(3, ("2x30", "4x15", "6x10")), 4),
        (make_study(2, ("2x30",)), 2),  # nothing to correlate
        (make_study(1), 4),
        (make_study(3, TWELVE), 4),
        (make_two_axes(rates=(1e-3, 3e-3, 1e-2)), 4),
    ],
    ids=["quickstart", "one architecture", "one seed", "wide", "depth × rate"],
)
def test_summaries_fit(study, num_tables):
    text = summarized(*study)
    assert check_lines(text) == num_tables
    assert check_lines(stage_named("train").present(frames_of(*study))) == 1
    assert "learning_rate" not in text


def test_one_seed_is_one_seed():
    text = summarized(*make_study(1))
    assert text.splitlines()[0] == "trained, 1 seed"
    assert "1 seeds" not in text.replace("0 of 1 seeds", "")
    assert summarized(*make_study(3)).startswith("trained, mean ± standard deviation over 3 seeds\n")


def test_correlations_that_are_not_there_are_no_empty_frame():
    runs, folding = make_study(2, ("2x30", "3x20"))
    text = summarized(runs, folding)
    assert check_lines(text) == 2
    titles = [line for line in text.splitlines() if line.startswith("r of depth")]
    assert titles[0] == "r of depth and row maxima of χ, all runs: none ¹"
    assert "¹ 2 of 2 seeds left out: fewer than 5 runs" in text.splitlines()
    assert "given accuracy" not in text


def without_row_maxima(num_seeds, *places):
    """Return a study of two architectures in which some runs at some epoch have no row maxima."""
    runs, folding = make_study(num_seeds, ("2x30", "3x20"))
    for run, epoch in places:
        folding.loc[(folding["run"] == run) & (folding["epoch"] == epoch), "row_max_median"] = np.nan
    return summarized(runs, folding)


def test_a_mean_says_how_many_of_the_seeds_have_a_value():
    text = without_row_maxima(3, ("2x30-s0", 30), ("3x20-s1", 30), ("3x20-s2", 30))
    trained = text.partition("untrained,")[0]
    assert re.search(r"^2x30 .*\d ± 0\.\d{3} \(2 of 3\)$", trained, re.MULTILINE)
    assert re.search(r"^3x20 .*  0\.\d{3} \(1 of 3\)$", trained, re.MULTILINE)
    assert (text.count("(1 of 3)"), text.count("(2 of 3)")) == (1, 2)  # the legend explains one of them
    words = " ".join(text.split())
    assert (
        words.count("(2 of 3): of 3 seeds 2 have a value, over which the mean is; a single one has no") == 1
    )
    two = " ".join(without_row_maxima(3, ("2x30-s0", 30)).split())
    assert "(2 of 3): of 3 seeds 2 have a value, over which the mean is r of" in two
    assert check_lines(text) > 1
    assert "seeds with a value" not in without_row_maxima(3)


def test_reasons_stand_beside_the_networks_that_they_are_of():
    text = without_row_maxima(2, ("2x30-s0", 0), ("3x20-s0", 30))
    (title,) = re.findall(r"^r of .*all runs: .*(?:\n  .*)*", text, re.MULTILINE)
    assert " ".join(title.split()) == (
        "r of depth and row maxima of χ, all runs: none (untrained ¹ ²; trained ¹ ³; difference ¹ ⁴)"
    )
    assert (
        "\n² 1 run without a value left out (depth 2)\n³ 1 run without a value left out (depth 3)\n" in text
    )


def test_notes_are_numbered_as_they_appear():
    runs, folding = make_two_axes()
    runs.loc[[0, 3], "test_accuracy"] = 0.5
    folding.loc[folding["run"] == runs["run"][1], "row_max_median"] = np.nan
    text = summarized(runs, folding)
    table, _, _ = text.partition("\n¹ ")
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
    of_lines = [[*map(int, re.findall(r"\d+", " ".join(re.findall("[⁰¹²³⁴-⁹]+", line)).translate(digits)))]
                for line in table.splitlines()]  # fmt: skip
    first = [*dict.fromkeys(mark for marks in of_lines for mark in marks)]
    assert first == [*range(1, len(first) + 1)]
    assert len(first) > 2
    assert all(marks == sorted(marks) for marks in of_lines)


def test_three_axes_of_which_one_has_long_names():
    runs, folding = make_two_axes()
    runs["activation"] = ["polynomial-3" if number % 2 else "leaky-relu" for number in range(len(runs))]
    text = summarized(runs, folding)
    assert check_lines(text) > 4
    assert "0.01" in text


def lmd_frames(architectures, samples=(), seeds=(0, 1, 2)):
    """Return tables of the lmd stage with all probes, for one sweep of a setting of the probes."""
    rng = np.random.default_rng(2)
    runs, _ = make_study(len(seeds), architectures)
    rows = {
        name: []
        for name in (
            *("lmd_layers", "lmd_ranks", "lmd_dimension", "lmd_retrieval", "lmd_semantics"),
            "lmd_continuity",
        )
    }
    spaces = [
        "pixels",
        *(f"{space}{state}" for space in ("V", "data", "laplacian") for state in ("", " untrained")),
    ]
    for run in runs["run"]:
        depth = int(run.partition("x")[0])
        for sample in samples or (None,):
            reading = {"sample": sample} if samples else {}
            for epoch in (0, 30):
                for layer in range(depth + 1):
                    where = {"run": run, **reading, "epoch": epoch, "layer": layer}
                    rows["lmd_layers"].append(
                        where
                        | {
                            "metric": "identity",
                            "spectral_norm": rng.uniform(1, 9),
                            "reconstruction_error": 1e-15,
                            "valid": True,
                            "reason": None,
                        }
                    )
                    for rule in ("data99", "participation", "energy95", "functional"):
                        rows["lmd_ranks"].append(
                            where
                            | {
                                "rule": rule,
                                "value": rng.uniform(1, 30),
                                "valid": True,
                                "default": rule == "data99",
                            }
                        )
                    for space in ("input", "output"):
                        for estimator in ("twonn", "mle"):
                            rows["lmd_dimension"].append(
                                where
                                | {
                                    "space": space,
                                    "estimator": estimator,
                                    "dimension": rng.uniform(1, 9),
                                    "reason": None,
                                }
                            )
                    rows["lmd_retrieval"] += [
                        where | {"space": space, "accuracy": rng.random()} for space in spaces
                    ]
                    rows["lmd_semantics"] += [
                        where
                        | {
                            "axis": axis,
                            "share": 0.5,
                            "shuffled_mean": 0.1,
                            "class_variance": 0.2,
                            "variance": 0.1,
                        }
                        for axis in (1, 2)
                    ]
    frames = {name: pd.DataFrame(of_table) for name, of_table in rows.items()}
    return Frames({"runs": runs, **frames}, DECLARED.values())


@pytest.mark.parametrize("samples", [(), (200, 1000)], ids=["one reading", "two readings"])
@pytest.mark.parametrize("architectures", [("2x30",), TWELVE], ids=["one architecture", "wide"])
def test_all_probes_fit(architectures, samples):
    text = stage_named("lmd").present(lmd_frames(architectures, samples))
    assert check_lines(text) >= 6
    assert text.startswith("trained networks, mean ± standard deviation over 3 runs each\n")
    order = [line.split()[0] for line in text.splitlines() if re.match(r"\d+x\d+ ", line)]
    assert [*dict.fromkeys(order)] == [*architectures]  # as they are swept: 2x100 is not before 2x30


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("train", "no network was trained"),
        ("fold", "no paths were measured"),
        ("lmd", "no weight matrix was decomposed"),
        ("summarize", "there is no folding to summarize"),
    ],
)
def test_a_failed_study_says_why(stage, said):
    reason = (
        "training diverged: the loss is not a number after epoch 1; lower training.learning_rate or raise it"
    )
    runs, _ = make_study(2, ("2x30",))
    runs = runs.assign(status="failed", error=reason, train_accuracy=np.nan, test_accuracy=np.nan)
    empty = {name: pd.DataFrame(columns=["run", *table.names]) for name, table in DECLARED.items()}
    text = stage_named(stage).present(Frames({**empty, "runs": runs}, DECLARED.values()))
    assert check_lines(text) == 0
    first, *rest = text.splitlines()
    assert first == said
    assert " ".join(" ".join(rest).split()) == f"2 of 2 runs failed: {reason}"


def test_some_failed_runs_stand_in_the_table_of_training():
    runs, folding = make_study(2, ("2x30",))
    runs["error"] = runs["error"].astype(object) if "error" in runs else None
    runs.loc[0, ["status", "error", "train_accuracy", "test_accuracy"]] = [
        "failed",
        "out of luck",
        np.nan,
        np.nan,
    ]
    lines = stage_named("train").present(frames_of(runs, folding)).splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["seed", "status"], ["0", "failed"], ["1", "done"]]
    assert lines[1].split()[2:] == ["-", "-"]
    assert lines[-1] == "1 of 2 runs failed: out of luck"


# Status and compare.


def test_status_fits_with_three_axes_and_long_logs():
    runs = [
        RunStatus(
            f"{architecture}-s{seed}-{number:06x}",
            f"{architecture} · lr 0.003 · seed {seed}",
            {"train": "failed" if seed else "done", "fold": "to do", "lmd": "running"},
            "2026-01-01T00:00:00+00:00 train: failed after 2.0 s: " + "a long reason " * 9,
        )
        for number, architecture in enumerate(TWELVE)
        for seed in (0, 1)
    ]
    status = StudyStatus("s", Path("results/s"), ["train", "fold", "lmd"], runs, 1, FolderSize(3, 400))
    assert check_lines("\n".join(status_lines(status))) == 1


@pytest.mark.parametrize("num_settings", [0, 3])
def test_a_comparison_fits(num_settings):
    """Also with three swept settings beside the architecture."""
    groups = ["architecture", "activation", *(f"a_long_setting_{n}" for n in range(num_settings))]
    quantities = ("test_accuracy", "chi_folded_mean", "chi_row_max_median")
    rows = [
        {
            "architecture": architecture, "activation": "relu", **dict.fromkeys(groups[2:], number),
            "state": "trained", "quantity": quantity, "layer": pd.NA, "num_pairs": number % 2 * 5,
            "num_seeds_a": 3, "num_seeds_b": 5, "mean_a": 0.123456, "mean_b": 0.1,
            "difference": -0.0234, "low": np.nan if number % 3 else -0.5, "high": 0.25,
            "interval": None if number % 3 else "paired t over seeds",
            "note": "" if number % 2 else "num_class_pairs 100 in a but 2 in b; epochs 2 in a but 1 in b",
        }
        for number, architecture in enumerate(ARCHITECTURES)
        for quantity in quantities
    ]  # fmt: skip
    tables = {"differences": pd.DataFrame(rows), "unmatched": pd.DataFrame()}
    made = ComparisonReport(
        Path("c/compare.html"),
        SideBySide(tables, groups, []),
        ["a", "b"],
        [("training.epochs", "30", "sweep [" + "1, " * 60 + "2]")],
    )
    text = "\n".join(comparison_lines(made))
    assert check_lines(text) == (0 if num_settings else 2)  # with long names, a block for each row
    assert text.count("-0.0234") == len(rows)
    assert text.splitlines().count("¹ class pairs: 100 in A, 2 in B") == 1
    assert text.count("¹") == 1 + 3 * len(ARCHITECTURES[::2])
    assert "on the scale of the logit" in " ".join(text.split())


def test_pairs_without_a_folded_path_are_said_to_drop_out_of_row_maxima():
    """Two of the networks' pairs: they count as 0 in the median of max, so that row maxima may be larger."""
    runs, folding = make_study(3, ("2x30", "3x20"))
    pair = folding[folding["measure"] == "chi"].copy()
    second = pair.assign(source_class=8, target_class=3)
    flat = second.index[:2]
    second.loc[flat, ["folded", "max"]] = 0.0
    second.loc[flat, "row_max_median"] = np.nan
    both = pd.concat([folding, second], ignore_index=True)
    num_pairs = (both["measure"] == "chi").sum()
    words = " ".join(summarized(runs, both).split())
    assert (
        f". 2 of {num_pairs} class pairs, those of all networks, have no folded path: they "
        "count as 0 in max and drop out of row maxima, which may be the larger for that r of"
    ) in words
    assert "no folded path" not in summarized(runs, folding)
