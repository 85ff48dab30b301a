"""BibTeX of spaceprobe and of the papers whose quantities it measures: what CITATION.cff says."""

from typing import NamedTuple


class Citation(NamedTuple):
    """What to cite, and for what.

    Attributes:
        key: of the entry.
        used_for: what a study takes from it.
        bibtex: the entry.
    """

    key: str
    used_for: str
    bibtex: str


CITATIONS = (
    Citation(
        "lewandowski2025folds",
        "space folding",
        """\
@article{lewandowski2025folds,
  title   = {On Space Folds of {ReLU} Neural Networks},
  author  = {Lewandowski, Michal and Eghbalzadeh, Hamid and Heinzl, Bernhard and Pisoni, Raphael
             and Moser, Bernhard A.},
  journal = {Transactions on Machine Learning Research},
  year    = {2025},
  note    = {arXiv:2502.09954}
}""",
    ),
    Citation(
        "ng2023layer",
        "the Layer Matrix Decomposition",
        """\
@article{ng2023layer,
  title   = {Neural Network Layer Matrix Decomposition reveals Latent Manifold Encoding and Memory Capacity},
  author  = {Ng, Shyh-Chang and Luo, A-Li and Qiu, Bo},
  journal = {arXiv preprint},
  year    = {2023},
  note    = {arXiv:2309.05968}
}""",
    ),
    Citation(
        "spaceprobe",
        "the program",
        """\
@misc{spaceprobe,
  title   = {spaceprobe},
  author  = {{The spaceprobe developers}},
  note    = {Version 0.1.0, computer program}
}""",
    ),
)
