"""What a network that a source names depends on: files by their SHA-256, libraries by their version."""

import hashlib
from pathlib import Path

from spaceprobe.files import file_digest
from spaceprobe.model_sources.source import LIBRARIES, ModelSource, ModelSourceError
from spaceprobe.user_sources import source_digests
from spaceprobe.weights.quoting import path_text


def digests(source: ModelSource, weights: Path | None = None, *, setting: str = "--model") -> dict[str, str]:
    """Return what a network depends on beside spaceprobe's own code, each by what it is of, in words.

    Of the user's code the SHA-256 of every source file that it imports from the working folder, of a library
    its version, of an ONNX file and of given weights the SHA-256 of each file. Nothing is imported or run.

    Args:
        source: what names it.
        weights: as `spaceprobe.model_sources.construction.build` takes it.
        setting: what names the source, to begin a message with.

    Raises:
        ModelSourceError: the library or the ONNX file is missing.
        UserCodeError: the user's module is missing or cannot be read.
        SpaceprobeError: the weights cannot be read.
    """
    where = f"{setting} {source}"
    result: dict[str, str] = {}
    if source.kind == "function":
        result = {
            f"{name} of {where}": digest for name, digest in source_digests(source.function, where).items()
        }
    elif source.kind in LIBRARIES:
        result = {f"the version of {source.kind}": library_version(source, where)}
    elif source.kind == "onnx":
        result = {f"the network {source.path.name}": _digest_of_onnx(source.path, where)}
    if weights is not None and weights.suffix.lower() == ".onnx":
        result[f"the weights {weights.name}"] = _digest_of_onnx(weights, f"--weights {path_text(weights)}")
    elif weights is not None:
        from spaceprobe.weights.whole_models import open_model

        for file in open_model(weights).files:
            result[f"the weights {file.name}"] = file_digest(file) or hashlib.sha256().hexdigest()
    return result


def _digest_of_onnx(path: Path, where: str) -> str:
    try:
        is_file = path.is_file()
        digest = file_digest(path) if is_file else None
    except OSError:
        digest = None
    if digest is None:
        raise ModelSourceError(f"{where}: cannot be read; give a file that torch.onnx.export wrote")
    return digest


def library_version(source: ModelSource, where: str) -> str:
    """Return the version of the library that a source names, which is not imported.

    Raises:
        ModelSourceError: it is not installed.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(source.kind)
    except PackageNotFoundError as error:
        raise ModelSourceError(
            f"{where}: {source.kind} is not installed; install it with: "
            f"pip install 'spaceprobe[{source.kind}]'"
        ) from error
