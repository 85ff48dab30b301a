"""A copy of the package that a test may edit, and commands of that copy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import spaceprobe

PACKAGE = Path(spaceprobe.__file__).parent


def copy_package(folder):
    """Return a copy of the package, its large data files linked.

    What Python and numba compiled comes along: it belongs to a file's time and size, which the copy keeps and
    an edit changes. Without it every copy compiles the kernels again, for several seconds.
    """

    def link(source, target):
        if source.endswith(".xz"):
            Path(target).symlink_to(source)
        else:
            shutil.copy2(source, target)

    # Half-written files of the caches, which may be gone in a moment: *.pyc.123, *.nbi.tmp.123.
    ignored = shutil.ignore_patterns("*.pyc.*", "*.tmp.*")
    return Path(shutil.copytree(PACKAGE, folder / "spaceprobe", copy_function=link, ignore=ignored))


def add_entry(package, registry, name, text):
    """Add an entry to a registry as its documentation says: one file, and one line beside the others."""
    (package / registry / f"{name}.py").write_text(text)
    home = package / registry / "__init__.py"
    head, files, rest = home.read_text().partition("FILES = (\n")
    home.write_text(f'{head}{files}    "{name}",\n{rest}')


def command_of(package, *words):
    """Run a command of a copy of the package; it has to succeed."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "OMP_NUM_THREADS": "1"}
    code = "import spaceprobe, sys; from spaceprobe.cli import main; "
    code += f"assert spaceprobe.__file__.startswith({str(package)!r}); main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        **{"capture_output": True, "text": True, "env": environment, "cwd": package.parent},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done
