"""The trained networks of a study, as torch modules."""

from collections.abc import Collection
from pathlib import Path

from torch import nn

from spaceprobe.errors import SpaceprobeError
from spaceprobe.results.started import find_started
from spaceprobe.results.trained_run import choose_run, open_trained
from spaceprobe.study.layout import STUDY_FILE
from spaceprobe.user_code import trusting

UNTRAINED, TRAINED = "untrained", "trained"
"""The names of the first and the last epoch."""


def load_run(
    folder: str | Path,
    run: str | None = None,
    epoch: int | str = TRAINED,
    *,
    trust: Collection[str] = (),
) -> nn.Module:
    """Return a trained network of a study: a torch module in evaluation mode, in float32 as it was trained.

    It takes inputs as `load_data` has them in ``test.inputs``: one flat row a point.

    Args:
        folder: the study's folder of results, such as ``results/quickstart``.
        run: name or label of the run, as in the column ``run`` of runs.csv; None where the study has one run.
        epoch: ``trained`` (after the last epoch), ``untrained`` (0), or an epoch whose weights were kept.
        trust: the modules of the user's own that the study may run, as ``package.module``.

    Raises:
        SpaceprobeError: the folder has no study, the study no such run, or the run no weights of this epoch;
            lists those that there are.
    """
    folder = Path(folder)
    if not (folder / STUDY_FILE).is_file():
        raise SpaceprobeError(f"{folder}: no study was started there{_studies_near(folder)}")
    study, folder = find_started(str(folder), folder.parent)
    with trusting(trust):
        trained = open_trained(study, folder, choose_run(study, run, "run"))
        asked = "0" if epoch == UNTRAINED else str(epoch)
        return trained.network_as_trained(trained.epoch(asked, "epoch", TRAINED))


def _studies_near(folder: Path) -> str:
    """Return which studies are in a folder or beside it, in words."""
    near = (folder, folder.parent)
    places = sorted({file.parent for place in near for file in place.glob(f"*/{STUDY_FILE}")})
    return f"; there are studies in {', '.join(map(str, places))}" if places else ""
