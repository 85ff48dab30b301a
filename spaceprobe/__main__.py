"""`python -m spaceprobe` and the `spaceprobe` command."""

from spaceprobe.cli import main

if __name__ == "__main__":
    main()
