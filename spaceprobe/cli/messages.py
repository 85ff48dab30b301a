"""Shows messages on stderr, as many as are asked for, and appends them to a log file."""

import logging
import sys
from contextlib import suppress
from pathlib import Path

import click
from tqdm import tqdm

from spaceprobe.errors import SettingsError, SpaceprobeError

_NOTICES = "spaceprobe.notices"
"""The logger of notices, which are always shown on stderr."""

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def say(text: str) -> None:
    """Write a result to stdout.

    Raises:
        SpaceprobeError: it cannot be written, as on a full disk; click handles a closed pipe.
    """
    try:
        click.echo(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SpaceprobeError(f"the standard output cannot be written ({error.strerror})") from error


def notify(text: str) -> None:
    """Write a notice to stderr and the log file; a stderr that cannot be written is ignored."""
    with suppress(OSError, ValueError):  # closed, or on a full disk
        click.echo(text, err=True)
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
        file = _LogFile(log_file, encoding="utf-8")
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
        click.echo(f"--log-file {self.baseFilename}: cannot be written any more ({reason})", err=True)


class _Terminal(logging.Handler):
    """Writes to stderr, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        if sys.stderr is not None:  # closed: tqdm would take stdout
            tqdm.write(self.format(record), file=sys.stderr)
