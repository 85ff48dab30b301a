"""Shows messages on stderr, as many as are asked for, and appends them to a log file."""

import errno
import io
import json
import logging
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import click
from tqdm import tqdm

from spaceprobe.errors import SettingsError

_NOTICES = "spaceprobe.notices"
"""The logger of notices, which are always shown on stderr."""

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


_PLAIN = str.maketrans(
    {"χ": "chi", "σ": "sigma", "×": "x", "±": "+/-", "→": "->", "≥": ">=", "≤": "<=", "–": "-", "·": "*"}
    | {"…": "...", "¹": "1", "²": "2", "³": "3", "⁴": "4", "√": "sqrt", "−": "-"}
)
"""What stands for a sign on a console that cannot show it, as on Windows."""

_stdout_errors: list[OSError] = []
"""Why printing to stdout stopped. A reader that has gone away does not count as an error."""


def say(text: str) -> None:
    """Write a result to stdout; where it cannot be written any more, the work goes on without printing.

    After ``| head`` nobody reads on, and that is fine; `stdout_watched` reports a full disk at the end.
    """
    try:
        click.echo(_printable(text, sys.stdout))
    except OSError as error:
        # A reader that has gone away is EPIPE, or on Windows EINVAL.
        if not isinstance(error, BrokenPipeError) and not (os.name == "nt" and error.errno == errno.EINVAL):
            _stdout_errors.append(error)
        _print_no_more()


def say_json(value: Mapping[str, Any]) -> None:
    """Write a value to stdout as JSON, the same value also on a console that cannot show its letters."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    say(text if _is_printable(text, sys.stdout) else json.dumps(value, indent=1))


@contextmanager
def stdout_watched() -> Iterator[None]:
    """Let a command end with 1 and a sentence if its results could not be printed, as on a full disk.

    Raises:
        click.exceptions.Exit: they could not, and the command had no other error.
    """
    _stdout_errors.clear()
    try:
        yield
    finally:
        errors = [*_stdout_errors]
        for error in errors[:1]:
            notify(f"Error: the standard output cannot be written ({error.strerror})")
    if errors:
        raise click.exceptions.Exit(1)


def notify(text: str) -> None:
    """Write a notice to stderr and the log file; a stderr that cannot be written is ignored."""
    with suppress(OSError, ValueError):  # closed, or on a full disk
        click.echo(_printable(text, sys.stderr), err=True)
    logging.getLogger(_NOTICES).info(text)


def notify_changes(folder: Path) -> None:
    """Write a notice for each table of a folder of results that is not the one that was computed."""
    from spaceprobe.results.changed_tables import change_notices  # here: pandas takes a while to import

    for notice in change_notices(folder):
        notify(f"notice: {folder}: {notice}")


def show_messages(*, is_quiet: bool = False, is_verbose: bool = False, log_file: Path | None = None) -> None:
    """Choose which messages are shown, from now on.

    Args:
        is_quiet: errors only.
        is_verbose: also what each run does, and warnings of libraries.
        log_file: where all messages are appended, with the time; None for nowhere.

    Raises:
        SettingsError: the log file cannot be written.
    """
    root = logging.getLogger()
    for handler in [*root.handlers]:
        if isinstance(handler, _Terminal | _LogFile):
            root.removeHandler(handler)
            handler.close()
    terminal = _Terminal(logging.ERROR if is_quiet else logging.INFO if is_verbose else logging.WARNING)
    terminal.addFilter(lambda record: _concerns(record, is_verbose))
    root.addHandler(terminal)
    ours = logging.getLogger("spaceprobe")
    ours.setLevel(logging.INFO if is_verbose or log_file else logging.WARNING)
    if log_file is None:
        return
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        _check_read(log_file)
        file = _LogFile(log_file, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SettingsError(
            f"--log-file {log_file}: cannot be written ({error.strerror}); give another file"
        ) from error
    file.setFormatter(logging.Formatter(_FORMAT))
    root.addHandler(file)


def _concerns(record: logging.LogRecord, is_verbose: bool) -> bool:
    """Return whether a message is shown: one of a library only if all are asked for."""
    if record.name == _NOTICES:
        return False  # shown already
    is_ours = record.name.partition(".")[0] == "spaceprobe"
    return is_ours or (is_verbose and record.levelno >= logging.WARNING)


class _LogFile(logging.FileHandler):
    """The log file of this command."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Tell once that the file cannot be written, and write no more to it."""
        del record
        logging.getLogger().removeHandler(self)
        reason = sys.exc_info()[1]
        with suppress(OSError, ValueError):  # stderr cannot be written either
            text = f"--log-file {self.baseFilename}: cannot be written any more ({reason})"
            click.echo(_printable(text, sys.stderr), err=True)


class _Terminal(logging.Handler):
    """Writes to stderr, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        if sys.stderr is not None:  # closed: tqdm would take stdout
            with suppress(OSError, ValueError):  # nobody reads it any more, or on a full disk
                tqdm.write(_printable(self.format(record), sys.stderr), file=sys.stderr)


def _check_read(path: Path) -> None:
    """Check that a pipe has a reader: opening it would wait for one.

    Raises:
        OSError: it has none.
    """
    with suppress(FileNotFoundError):
        if stat.S_ISFIFO(path.stat().st_mode):
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


def _is_printable(text: str, stream: IO[str] | None) -> bool:
    """Return whether a stream can show all letters of a text."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8", getattr(stream, "errors", None) or "strict")
    except UnicodeEncodeError:
        return False
    return True


def _printable(text: str, stream: IO[str] | None) -> str:
    """Return a text as a stream can show it: signs in words, and names that are no text with escapes."""
    if _is_printable(text, stream):
        return text
    plain = text.translate(_PLAIN)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return plain.encode(encoding, "backslashreplace").decode(encoding)


def _print_no_more() -> None:
    """Let what is printed to stdout vanish, also what still waits in its buffer."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError, io.UnsupportedOperation):  # not a file of the system
        # Open for as long as the process lasts, as the stream that it replaces was.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  # not a path of a user
    finally:
        os.close(nowhere)
