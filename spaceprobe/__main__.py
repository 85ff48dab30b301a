"""`python -m spaceprobe` and the `spaceprobe` command."""

from spaceprobe.machine.ending import TerminatedError, end_at_once, take_signals


def main() -> None:
    """Run the command line; a signal ends it without a traceback, also while it is still being imported."""
    take_signals()
    try:
        from spaceprobe.cli import main as command_line

        command_line()
    except (KeyboardInterrupt, TerminatedError) as error:
        end_at_once(error)


if __name__ == "__main__":
    main()
