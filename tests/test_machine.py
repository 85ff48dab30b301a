"""What one machine has and another lacks: CPUs, homes, threads, signals, consoles; files that are none."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from matplotlib.font_manager import FontManager

from spaceprobe.cli import messages
from spaceprobe.data import mapped
from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.files import ResultsError, append_line, append_object, last_line
from spaceprobe.machine import ending, folders, limits
from spaceprobe.machine.cpus import usable_cpus
from spaceprobe.machine.paths import expanded
from spaceprobe.reading import open_regular, read_regular
from spaceprobe.study.running.heartbeats import read_marks
from tests.commands import call, small_mnist

TINY = """\
data: {{root: {root}, train_images: 200}}
network: {{architecture: 2x4}}
training: {{epochs: 1}}
folding: {{per_class: 2, pairs: [3-8]}}
study: {{stages: [train, fold]}}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    path = folder / "tiny.yaml"
    path.write_text(TINY.format(root=small_mnist(folder / "data")))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study of networks that are only trained, whose report has few figures; and its results."""
    folder = tmp_path_factory.mktemp("trained")
    path = folder / "tiny.yaml"
    text = TINY.format(root=small_mnist(folder / "data"))
    path.write_text(text.replace("[train, fold]", "[train]"))
    assert call("run", path, "--results", folder / "results").exit_code == 0
    return path, folder / "results"


def tables(results):
    """Return the bytes of all tables but the one of times."""
    paths = sorted((results / "tiny").glob("*.csv"))
    return {path.name: path.read_bytes() for path in paths if path.name != "timings.csv"}


def command(study, results, *more):
    return [sys.executable, "-m", "spaceprobe", "run", str(study), "--results", str(results), *more]


# CPUs.


def cgroup(tmp_path, lines, **files):
    """Return a folder of control groups and a file that says in which of them a process is."""
    for name, text in files.items():
        path = tmp_path / "cgroup" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "membership").write_text(lines)
    return tmp_path / "cgroup", tmp_path / "membership"


@pytest.mark.parametrize(
    ("lines", "files", "expected"),
    [
        ("0::/\n", {"cpu_dot_max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu_dot_max": "150000 100000\n"}, 2),  # 1.5, rounded up
        ("0::/\n", {"cpu_dot_max": "5000 100000\n"}, 1),
        ("0::/\n", {"cpu_dot_max": "max 100000\n"}, 64),
        ("0::/\n", {"cpu_dot_max": "9900000 100000\n"}, 64),  # more than the affinity
        ("0::/\n", {"cpu_dot_max": "nonsense\n"}, 64),
        ("0::/a/b\n", {"a__b__cpu_dot_max": "max 100000\n", "a__cpu_dot_max": "300000 100000\n"}, 3),
        ("0::/host/only\n", {"cpu_dot_max": "400000 100000\n"}, 4),  # a container's top, by the host's path
        ("0::/../a\n", {"a__cpu_dot_max": "500000 100000\n"}, 5),
        (
            "4:cpu,cpuacct:/docker/x\n0::/\n",
            {"cpu__cpu.cfs_quota_us": "250000\n", "cpu__cpu.cfs_period_us": "100000\n"},
            3,
        ),
        ("4:cpu:/\n", {"cpu__cpu.cfs_quota_us": "-1\n", "cpu__cpu.cfs_period_us": "100000\n"}, 64),
        ("4:cpuset:/\n", {"cpuset__cpu.cfs_quota_us": "100000\n", "cpuset__cpu.cfs_period_us": "1\n"}, 64),
        ("", {"cpu_dot_max": "100000 100000\n"}, 64),
    ],
)
def test_quotas_of_containers(tmp_path, monkeypatch, lines, files, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert usable_cpus(*cgroup(tmp_path, lines, **files)) == expected


def test_affinity_counts_and_not_the_machine(tmp_path, monkeypatch):
    none = (tmp_path / "none", tmp_path / "none")
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert usable_cpus(*none) == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cpus(*none) == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cpus(*none) == 1


def test_make_asks_the_same_function():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("affinity is Linux's")
    one = {min(os.sched_getaffinity(0))}
    makefile = Path(__file__).parents[1] / "Makefile"
    line = next(line for line in makefile.read_text().splitlines() if line.startswith("JOBS"))
    script = line.split("-I ")[1].rstrip(")")
    printed = subprocess.run(
        [sys.executable, "-I", script],
        cwd=makefile.parent, capture_output=True, text=True, timeout=60, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, one),
    )  # fmt: skip
    assert printed.stdout == "1\n"


# Users without a home.


@pytest.fixture
def homeless(tmp_path, monkeypatch):
    def no_home(*_, **__):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(folders.platformdirs, "user_cache_dir", no_home)
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    folders._homeless_folder.cache_clear()
    yield tmp_path / f"spaceprobe-{os.getuid()}"
    folders._homeless_folder.cache_clear()


def test_a_user_without_a_home_has_a_closed_cache_in_the_temporary_folder(homeless, caplog):
    assert folders.cache_folder() == folders.cache_folder() == homeless
    assert stat.S_IMODE(homeless.stat().st_mode) == 0o700
    assert caplog.messages == [
        f"this user has no home folder: the cache is {homeless}; XDG_CACHE_HOME changes that"
    ]


def test_a_tilde_that_stays_is_no_home(homeless, monkeypatch):
    monkeypatch.setattr(folders.platformdirs, "user_cache_dir", lambda *_, **__: "~/.cache/spaceprobe")
    assert folders.cache_folder() == homeless


def test_another_users_folder_is_refused(homeless, monkeypatch):
    homeless.mkdir(mode=0o777)
    own = os.getuid()
    name = homeless.with_name(f"spaceprobe-{own + 1}")
    homeless.rename(name)
    monkeypatch.setattr(folders.os, "getuid", lambda: own + 1)
    with pytest.raises(OSError, match=r"is another user's or not a folder; set XDG_CACHE_HOME"):
        folders.cache_folder()


def test_a_link_in_the_place_of_the_cache_is_refused(homeless, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    homeless.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"is another user's or not a folder"):
        folders.cache_folder()


# Temporary folders of processes that were killed.


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_folders_of_dead_processes_of_this_user_and_machine_go(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    host, space, dead = folders.socket.gethostname(), folders._processes(), dead_process()
    go = f"spaceprobe-mnist-{dead}@{host}~{space}-a1"
    stay = [
        f"spaceprobe-mnist-{os.getpid()}@{host}~{space}-a2",  # alive
        f"spaceprobe-dask-{dead}@{host}~00000000-a3",  # another container's
        f"spaceprobe-dask-{dead}@other~{space}-a4",  # another machine's
        "spaceprobe-mnist-abcdef12",  # of an earlier version, young
        "spaceprobe-notes",  # a user's own
        f"other-{dead}@{host}~{space}-a5",
    ]
    for name in [go, *stay]:
        (tmp_path / name / "inner").mkdir(parents=True)
    folders.remove_abandoned_folders()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)
    long_ago = time.time() - folders.KEPT_FOR_S - 60
    for name in stay:
        os.utime(tmp_path / name, (long_ago, long_ago))
    folders.remove_abandoned_folders()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([stay[0], *stay[4:]])
    monkeypatch.setattr(folders.os, "getuid", lambda: 12345)
    (tmp_path / go).mkdir()
    folders.remove_abandoned_folders()
    assert (tmp_path / go).exists()  # another user's


def test_a_killed_process_s_folder_goes_at_the_next_start(tmp_path, study):
    code = "import os, signal; from spaceprobe.machine.folders import temporary_folder; "
    code += "print(temporary_folder('mnist'), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    killed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    assert left.parent == tmp_path
    again = [*command(study, tmp_path / "results", "--no-report", "-q", "--only", "train")]
    subprocess.run(again, env=environment, timeout=240, check=True)
    assert not left.exists()


# A limit on threads.


def test_too_few_threads_are_told_in_a_sentence(monkeypatch, study, tmp_path):
    started = []

    class Thread:
        def __init__(self, **_):
            pass

        def start(self):
            if len(started) == 2:
                raise RuntimeError("can't start new thread")
            started.append(self)

        def join(self):
            pass

    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setattr(limits.threading, "Thread", Thread)
    with pytest.raises(SpaceprobeError, match=r"^no further thread or process can be started: a limit of "):
        limits.check_threads(1)
    started.clear()
    outcome = call("run", study, "--results", tmp_path)
    assert outcome.exit_code == 1
    assert outcome.stderr.count("\n") == 1
    assert outcome.stderr.startswith("Error: no further thread or process can be started")
    assert not (tmp_path / "tiny").exists()


def test_as_many_threads_as_were_counted(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert limits._num_threads(1) == 6  # one of numpy, one of scipy, two of the kernel, heartbeat, progress
    assert limits._num_threads(2) == 23  # and Dask's


def test_other_errors_are_not_taken_for_a_limit():
    assert limits.limit_sentence(RuntimeError("other")) is None
    assert limits.limit_sentence(OSError(errno.ENOENT, "no file")) is None
    assert "process can be started" in limits.limit_sentence(BlockingIOError(errno.EAGAIN, "fork"))
    with pytest.raises(RuntimeError, match="other"), limits.limits_explained():
        raise RuntimeError("other")


# Files that are none, and names that are too long or no text.


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_pipe_is_not_opened(pipe):
    for read in (open_regular, read_regular):
        with pytest.raises(FileExistsError, match=r"it is a pipe, not a file"):
            read(pipe)
    with pytest.raises(OSError, match=r"it is a device"):
        read_regular(Path("/dev/zero"))
    assert last_line(pipe) is None
    for append, what in ((append_line, "a line"), (append_object, {"a": 1})):
        with pytest.raises(
            ResultsError, match=r"pipe: cannot be written \(it is a pipe, not a file\); move "
        ):
            append(pipe, what)
    pipe.rename(pipe.with_name("mark.json"))
    assert read_marks(pipe.parent) == {}


def test_a_pipe_in_the_place_of_decoded_images_is_replaced(tmp_path, monkeypatch, caplog):
    np = mapped.np
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    raw = np.arange(mapped.MIN_BYTES // 4, dtype=np.uint8).reshape(-1, 64)
    first = mapped.decoded_pixels(raw, "set")
    (path,) = (tmp_path / "spaceprobe" / mapped.FOLDER).iterdir()
    path.unlink()
    os.mkfifo(path)
    again = mapped.decoded_pixels(raw, "set")
    assert np.array_equal(first, again)
    assert path.is_file()
    assert caplog.messages == [f"{path} is damaged; it is decoded again"]


DRAWING = """
from spaceprobe.{module}
import matplotlib.font_manager
print("drawn", matplotlib.get_cachedir())
"""


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        *(
            ("report.figures.path import path_figure", kind)
            for kind in ("device", "directory", "dangling link")
        ),
        *((module, "pipe") for module in ("report.figures.path import path_figure", "api import trace")),
    ],
)
def test_what_lies_where_matplotlib_keeps_its_fonts(module, kind, tmp_path):
    """In a process of its own, with a limit: matplotlib opens a pipe and waits for its other end."""
    place = tmp_path / "matplotlib" / f"fontlist-v{FontManager.__version__}.json"
    place.parent.mkdir()
    match kind:
        case "pipe":
            os.mkfifo(place)
        case "device":
            place.symlink_to("/dev/zero")
        case "directory":
            place.mkdir()
        case "dangling link":
            place.symlink_to("nowhere")
    environment = {name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR"}
    done = subprocess.run(
        [sys.executable, "-c", DRAWING.format(module=module)],
        env={**environment, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        **{"capture_output": True, "text": True, "timeout": 240},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "drawn" in done.stdout
    if kind in ("pipe", "device"):
        told = f"{place} is a {kind}, not a file: matplotlib makes its list of fonts again at every start"
        assert done.stderr.count(told) == 1
        assert str(tmp_path / "matplotlib") not in done.stdout
    else:
        assert "matplotlib makes its list of fonts again" not in done.stderr
        assert str(tmp_path / "matplotlib") in done.stdout


@pytest.mark.parametrize("name", ["events.jsonl", "provenance.json", "study.yaml", "folding.csv", "runs/log"])
def test_a_run_after_a_pipe_gives_the_same_bytes(study, finished, copied, name):
    path = copied / "tiny" / name
    if name == "runs/log":
        path = next((copied / "tiny" / "runs").iterdir()) / "run.log"
    path.unlink()
    os.mkfifo(path)
    before = tables(finished)
    for words in (("plan", study), ("status", study), ("run", study)):
        outcome = call(*words, "--results", copied)  # would hang
        assert outcome.exit_code in (0, 1), outcome.output
    if name in ("folding.csv", "study.yaml"):
        assert path.is_file()
    path.unlink()
    assert call("run", study, "--results", copied).exit_code == 0
    assert tables(copied) == before


def test_a_log_file_that_is_a_pipe_nobody_reads(study, tmp_path, pipe):
    outcome = call("run", study, "--results", tmp_path, "--log-file", pipe)
    assert outcome.exit_code == 2
    assert f"--log-file {pipe}: cannot be written (No such device or address)" in outcome.stderr


LONG = "a" * 300


@pytest.mark.parametrize(
    "words",
    [
        ("report", LONG),
        ("status", LONG),
        ("clean", LONG),
        ("plot", LONG),
        ("compare", LONG, LONG),
        ("run", LONG),
        ("run", "STUDY", "--results", LONG),
        ("plan", "STUDY", "--set", f"data.root={LONG}"),
        ("run", "STUDY", "--log-file", LONG),
        ("cantor", "--out", f"{LONG}.svg"),
        ("lmd", "--weights", LONG),
    ],
)
def test_a_name_that_is_too_long(study, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    outcome = call(*(study if word == "STUDY" else word for word in words))  # raises where it has a traceback
    assert outcome.exit_code in (1, 2)
    assert "Error" in outcome.stderr or LONG in outcome.stderr


def test_a_folder_whose_name_is_no_text(study, finished, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xff"))
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(
        command(study, folder, "--no-report"), env=environment, capture_output=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"n\\udcff/tiny" in done.stdout
    assert tables(folder) == tables(finished)


# Output that nobody reads or no console can show.


def test_a_closed_pipe_ends_only_the_printing(trained, tmp_path):
    study, finished = trained
    copied = shutil.copytree(finished, tmp_path / "results")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command(study, copied, "-q", "--force"),
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=300,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (copied / "tiny" / "report.html").is_file()
    assert tables(copied) == tables(finished)


def test_a_full_disk_at_stdout_ends_the_run_with_1_after_the_report(trained, tmp_path):
    study, finished = trained
    copied = shutil.copytree(finished, tmp_path / "results")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command(study, copied), stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, check=False
        )
    assert done.returncode == 1
    assert "Error: the standard output cannot be written (No space left on device)\n" in done.stderr
    assert (copied / "tiny" / "report.html").is_file()


def test_a_reader_of_stderr_that_has_gone_changes_nothing(study, finished, copied):
    reader, writer = os.pipe()
    os.close(reader)
    words = command(study, copied, "-v", "--force", "--no-report", "--only", "train")
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=writer, timeout=300, check=False)
    os.close(writer)
    assert done.returncode == 0
    assert b"tables " in done.stdout
    assert tables(copied) == tables(finished)


def test_signs_in_words_where_a_console_has_none(tmp_path):
    with (tmp_path / "console").open("w", encoding="cp1252", errors="strict") as console:
        assert messages._printable("χ of 2 × 3 ± 1 → é", console) == "chi of 2 x 3 +/- 1 -> é"
        assert messages._printable("é × ±", console) == "é × ±"  # which it has
        assert messages._printable("深", console) == "\\u6df1"


# Signals.

SLOW = """\
import atexit, signal, sys, time
from spaceprobe.machine import ending
def closing():
    {closing}
def main():
    ending.take_signals()
    ending.PATIENCE_S = {patience}
    atexit.register(closing)
    try:
        print("ready", flush=True)
        time.sleep(60)
    except (KeyboardInterrupt, ending.TerminatedError) as error:
        sentence, code = ending.last_words(error)
        print(sentence, file=sys.stderr)
        sys.exit(code)
main()
"""


@pytest.mark.parametrize(
    ("number", "word", "code"), [("SIGINT", "Interrupted", 130), ("SIGTERM", "Terminated", 143)]
)
@pytest.mark.parametrize(
    ("closing", "patience"), [("time.sleep(1)", 5), ("time.sleep(60)", 0.5)], ids=["slow", "stuck"]
)
def test_five_signals_are_one_line(number, word, code, closing, patience):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW.format(closing=closing, patience=patience)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    for _ in range(5):
        if process.poll() is None:
            process.send_signal(getattr(signal, number))
        time.sleep(0.2)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err == f"{word}: what was finished is kept; the same command continues from there.\n"


def test_five_ctrl_c_in_a_run_and_then_the_same_bytes(study, finished, tmp_path):
    words = command(study, tmp_path, "--no-report", "--jobs", "2")
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    events = tmp_path / "tiny" / "events.jsonl"
    deadline = time.monotonic() + 120
    while not (events.exists() and "job_started" in events.read_text()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _ in range(5):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.1)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    lines = [line for line in err.splitlines() if not line.startswith(("tiny:", "train ", "fold "))]
    assert lines == ["Interrupted: what was finished is kept; the same command continues from there."]
    assert call("run", study, "--results", tmp_path).exit_code == 0
    assert tables(tmp_path) == tables(finished)


def test_handlers_are_as_before_after_a_command():
    before = {number: signal.getsignal(number) for number in ending.SIGNALS}
    with ending.ended_by_signals():
        for number, handler in before.items():  # what nohup ignores stays ignored
            assert signal.getsignal(number) == (handler if handler is signal.SIG_IGN else ending._end)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # the second one is ignored
    assert {number: signal.getsignal(number) for number in ending.SIGNALS} == before


# Another system.

ELSEWHERE = Path(__file__).with_name("elsewhere.py")


@pytest.mark.parametrize("encoding", ["cp1252:strict", "ascii:strict"])
def test_a_study_on_a_system_without_what_only_posix_has(study, finished, tmp_path, encoding):
    words = [sys.executable, str(ELSEWHERE), "run", str(study), "--results", str(tmp_path), "--no-report"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(words, env=environment, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert b"share of paths with chi > 0" in done.stdout
    assert tables(tmp_path) == tables(finished)


# Paths.


def test_paths_of_users(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", "sets")
    monkeypatch.delenv("NONE", raising=False)
    assert expanded(Path("~/a")) == tmp_path / "a"
    assert expanded(Path("$DATA/${DATA}/a")) == Path("sets/sets/a")
    assert expanded(Path("/plain")) == Path("/plain")
    with pytest.raises(SettingsError, match=r"^\$NONE/a: the variable \$NONE is not set; set it, or "):
        expanded(Path("$NONE/a"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "$NONE").mkdir()
    assert expanded(Path("$NONE")) == Path("$NONE")  # it is there, as it is written


def test_a_home_that_is_not_known(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda text: text)
    with pytest.raises(SettingsError, match=r"^~/a: this user has no home folder for ~"):
        expanded(Path("~/a"))


def test_expanded_paths_name_the_same_runs(study, finished, tmp_path, monkeypatch):
    """A run's name has the root as it is written, and results are found wherever the files lie."""
    root = study.parent / "data"
    text = study.read_text().replace(str(root), "~/data")
    other = tmp_path / "tiny.yaml"
    other.write_text(text)
    monkeypatch.setenv("HOME", str(study.parent))
    outcome = call("run", other, "--results=~/home")
    assert outcome.exit_code == 0, outcome.output
    names = {path.name for path in (study.parent / "home" / "tiny" / "runs").iterdir()}
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "data").parent.mkdir()
    (elsewhere / "data").symlink_to(root)
    monkeypatch.setenv("HOME", str(elsewhere))
    assert call("run", other, "--results", tmp_path / "again").exit_code == 0
    assert {path.name for path in (tmp_path / "again" / "tiny" / "runs").iterdir()} == names
    assert "~/data" in (tmp_path / "again" / "tiny" / "study.yaml").read_text()
    folding = (tmp_path / "again" / "tiny" / "folding.csv").read_bytes()
    assert folding == (study.parent / "home" / "tiny" / "folding.csv").read_bytes()


def test_a_user_s_name_where_there_is_no_number(monkeypatch):
    monkeypatch.delattr(folders.os, "getuid")
    monkeypatch.setenv("LOGNAME", "somebody")
    assert folders._user() == "somebody"
