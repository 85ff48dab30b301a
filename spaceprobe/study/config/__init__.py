"""Settings of a study: a strict reading of YAML, checked against what stages declare."""

from spaceprobe.study.config.loading import Study, all_stages, dump_study, load_study, section_models

__all__ = ["Study", "all_stages", "dump_study", "load_study", "section_models"]
