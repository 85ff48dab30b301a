"""Why a file does not give a network."""


class OnnxRefusal(Exception):  # noqa: N818 - the public error is a ModelSourceError, which also names the file
    """An ONNX file is damaged, too large, or holds what is not supported; the text is the reason."""
