"""Settings of a study: a strict reading of YAML, checked against what stages declare."""

from spaceprobe.study.config.loading import load_study
from spaceprobe.study.config.sections import section_models
from spaceprobe.study.config.study import Study, dump_study

__all__ = ["Study", "dump_study", "load_study", "section_models"]
