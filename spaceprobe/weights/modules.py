"""What a torch module knows of its weights and a file of them does not say."""

from glob import escape

from torch import nn

from spaceprobe.weights.layouts.layout import Hints

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def hints_of(module: nn.Module) -> Hints:
    """Return the groups of convolutions, which ones are transposed, and the heads of attention.

    The heads are those of `nn.MultiheadAttention`, where all such modules have as many.
    """
    transposed, groups, heads = [], {}, set()
    for name, layer in module.named_modules():
        weight = escape(f"{name}.weight".lstrip("."))
        if isinstance(layer, CONVOLUTIONS + TRANSPOSED):
            groups[weight] = layer.groups
        if isinstance(layer, TRANSPOSED):
            transposed.append(weight)
        if isinstance(layer, nn.MultiheadAttention):
            heads.add(layer.num_heads)
    return Hints(heads=heads.pop() if len(heads) == 1 else None, transposed=transposed, groups=groups)
