"""Killed at random moments, a study comes to the same end: some of the kills of scripts/chaos.py."""

import sys

import chaos
import marked_processes
import pytest


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    tally = chaos.Tally()
    folder = tmp_path_factory.mktemp("references")
    runs = {mode: chaos.run_reference(mode, folder / mode, tally) for mode in chaos.VICTIMS}
    assert tally.problems == []
    return runs


def test_the_same_bytes_wherever_it_is_computed(references):
    """Serial, two worker processes, and a separate scheduler with two workers."""
    serial = references["serial"]
    assert serial.num_parts == 4 * (1 + 2 * 5 + 2)  # training; two epochs of five pairs; two of LMD
    assert {"runs.csv", "training.csv", "folding.csv", "lmd_ranks.csv", "correlations.csv"} <= {
        *serial.tables
    }
    for mode in ("local", "cluster"):
        assert references[mode].num_parts == serial.num_parts
        assert [
            name for name in serial.tables if references[mode].tables.get(name) != serial.tables[name]
        ] == []
        assert references[mode].tables.keys() == serial.tables.keys()


NUM_KILLS = {mode: len(victims) for mode, victims in chaos.VICTIMS.items()}
"""Each victim has its turn; scripts/chaos.py kills 200."""


@pytest.mark.slow
@pytest.mark.parametrize("mode", NUM_KILLS)
def test_kills_lose_nothing(references, tmp_path, mode):
    """Nothing is lost, twice or different, and nothing outlives its driver."""
    tally = chaos.wreak(NUM_KILLS[mode], tmp_path, seed=20, modes=[mode], references=references)
    shown = "\n".join(tally.lines())
    assert tally.problems == [], shown
    assert (tally.lost_rows, tally.duplicate_rows, tally.different_tables) == (0, 0, 0), shown
    assert tally.kills.total() == NUM_KILLS[mode], shown
    assert {*tally.kills} == {(mode, victim) for victim in chaos.VICTIMS[mode]}, shown
    assert max(tally.outlived_s.values()) < chaos.GONE_AFTER_S, shown
    assert tally.num_rows > 0


TABLE = b"run,epoch,loss\na,0,1.5\na,1,1.25\nb,0,2.0\nb,1,1.0\n"


@pytest.mark.parametrize(
    ("found", "lost", "twice"),
    [
        (TABLE, 0, 0),
        (b"", 4, 0),
        (TABLE.replace(b"a,1,1.25\n", b""), 1, 0),
        (TABLE + b"b,1,1.0\n" + b"a,0,7.0\n", 0, 2),
        (TABLE.replace(b"2.0", b"2.5"), 1, 0),
    ],
    ids=["same", "no table", "lost", "twice", "changed"],
)
def test_lost_and_duplicate_rows_are_counted(found, lost, twice):
    assert chaos.rows_lost_and_twice("training.csv", found, TABLE) == (lost, twice, 4)


def test_a_process_is_found_by_its_mark(tmp_path):
    """Also one that its parent left behind, in a session of its own."""
    code = "import subprocess, sys; subprocess.Popen(['sleep', '600'], start_new_session=True)"
    program = marked_processes.Program([sys.executable, "-c", code], tmp_path)
    program.process.wait()
    assert [*marked_processes.marked(program.mark).values()] == ["sleep 600"]
    program.kill_all()
    assert marked_processes.marked(program.mark) == {}


def test_nobody_to_kill(tmp_path):
    with pytest.raises(marked_processes.ChaosError, match=r"nobody to kill: \['scheduler'\] in \['serial'\]"):
        chaos.wreak(1, tmp_path, victims=["scheduler"], modes=["serial"])
