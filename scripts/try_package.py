"""Build the sdist and the wheel, and try the wheel in a fresh environment, outside of the checkout.

The wheel is built from the sdist, so what the sdist lacks is missed. In the environment, which has nothing
but the wheel and what it needs, the command lists its studies, trains and folds a small one on the embedded
MNIST, makes its report, and the package is imported; none of that may come from the checkout.

Run: python scripts/try_package.py [--keep DIR]
It installs torch anew: two to four minutes. --keep DIR leaves the sdist and the wheel there.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

STUDY = """\
data: {train_images: 600}
network: {architecture: 2x10}
training: {epochs: 1}
folding: {pairs: [3-8, 8-3], per_class: 5}
lmd: {sample: 100}
"""

MADE = ("runs.csv", "folding.csv", "lmd_layers.csv", "aggregates.csv", "report.html")
"""What the study has to leave."""

CHECK = """\
import sys
from pathlib import Path
import spaceprobe
place = Path(spaceprobe.__file__).resolve()
assert place.is_relative_to(Path(sys.prefix).resolve()), place
tables = spaceprobe.read_tables("results/small")
assert set(tables["runs"]["status"]) == {"done"}, tables["runs"]
print(f"imported from {place.parent}; {len(tables)} tables")
"""


def run(*words: object, folder: Path) -> str:
    """Run a command in a folder and return what it printed; exit with its words if it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(folder: Path) -> tuple[Path, Path]:
    """Return the sdist of the checkout, and the wheel that is built from it."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, folder=folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def try_wheel(wheel: Path, home: Path) -> None:
    """Install a wheel into a fresh environment and use it; see the module."""
    run(sys.executable, "-m", "venv", home / "venv", folder=home)
    binaries = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = (binaries / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, wheel, folder=home)
    work = home / "work"
    work.mkdir()
    (work / "small.yaml").write_text(STUDY)
    command = binaries / "spaceprobe"
    print(run(command, "--version", folder=work).strip())
    listed = run(command, "studies", folder=work)
    if "depth-sweep" not in listed:
        sys.exit(f"the shipped studies are not in the wheel:\n{listed}")
    run(command, "run", "small.yaml", folder=work)
    missing = [name for name in MADE if not (work / "results" / "small" / name).is_file()]
    if missing:
        sys.exit(f"spaceprobe run left no {', '.join(missing)}")
    print(run(binaries / "python", "-c", CHECK, folder=work).strip())


def main() -> None:
    """Build, try, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where sdist and wheel are left")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory(prefix="package-") as name:
        home = Path(name)
        sdist, wheel = build(home)
        for path in (sdist, wheel):
            print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
        try_wheel(wheel, home)
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            for path in (sdist, wheel):
                shutil.copy2(path, keep)
                print(keep / path.name)


if __name__ == "__main__":
    main()
