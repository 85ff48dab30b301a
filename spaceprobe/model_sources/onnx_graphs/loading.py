"""Load the network of an ONNX file."""

from pathlib import Path

from torch import nn

from spaceprobe.model_sources.onnx_graphs.refusal import OnnxRefusal
from spaceprobe.model_sources.source import ModelSourceError


def load_onnx(path: Path, where: str = "--model") -> nn.Module:
    """Return the network of an ONNX file in evaluation mode, with the weights of the file.

    It is made of torch's own functions and layers, in float32, or in float64 where weights of the file are;
    an MLP is an `nn.Sequential`. Its layers are called as the exporter noted. No code of the file runs.

    Args:
        path: of the file.
        where: what names it, to begin a message with.

    Raises:
        ModelSourceError: onnx is not installed, or the file cannot be read, is damaged or too large, or holds
            an operator that is not supported.
    """
    from spaceprobe.model_sources.onnx_graphs.building import build_network
    from spaceprobe.model_sources.onnx_graphs.operators import OPERATORS
    from spaceprobe.model_sources.onnx_graphs.reading import read_graph

    try:
        return build_network(read_graph(path, OPERATORS)).eval()
    except ImportError as error:
        raise ModelSourceError(
            f"{where}: onnx is not installed; install it with: pip install 'spaceprobe[onnx]'"
        ) from error
    except OnnxRefusal as error:
        raise ModelSourceError(f"{where}: {error}") from error
