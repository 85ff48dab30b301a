"""Networks from ONNX files, as modules of ordinary torch operations; none of the file's code runs.

`wire` counts what a file holds before it is parsed, `reading` parses and checks it, `tensors` reads its
constants. `operators` lists what each operator is in torch, `building` makes the steps of a network of them,
`network` runs these, `names` says what its layers are called.
"""

from spaceprobe.model_sources.onnx_graphs.loading import load_onnx

__all__ = ["load_onnx"]
