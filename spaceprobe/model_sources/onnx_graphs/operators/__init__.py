"""The operators of ONNX that are read, and what each is in torch.

Everything else is refused by name. Those with weights become layers of torch.
"""

from spaceprobe.model_sources.onnx_graphs.operators.activations import ACTIVATIONS
from spaceprobe.model_sources.onnx_graphs.operators.arithmetic import ARITHMETIC
from spaceprobe.model_sources.onnx_graphs.operators.call import Operator
from spaceprobe.model_sources.onnx_graphs.operators.layers import LAYERS
from spaceprobe.model_sources.onnx_graphs.operators.pooling import POOLING
from spaceprobe.model_sources.onnx_graphs.operators.shapes import SHAPES

OPERATORS: dict[str, Operator] = {**LAYERS, **ARITHMETIC, **ACTIVATIONS, **POOLING, **SHAPES}
"""By the operator's name in ONNX."""
