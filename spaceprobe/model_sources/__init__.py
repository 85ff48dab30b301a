"""Networks by what names them: widths, our own kinds, torchvision, timm, or a function of the user's."""

from spaceprobe.model_sources.source import Kind, ModelSource, ModelSourceError, parse_model

__all__ = ["Kind", "ModelSource", "ModelSourceError", "parse_model"]
