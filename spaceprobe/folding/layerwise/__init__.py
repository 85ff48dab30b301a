"""All linear regions of a path at once, layer by layer, through any piecewise-linear module.

`walk` runs a module on polylines, tensors that are known at the knots of paths (`polyline`, `knots`). `rules`
lists what each function of torch does to them: `structure` those that move or average entries, `arithmetic`
sums, products and layers (`anchors`: with which scale), `extremes`, `windows` and `maxima` the largest of
several. `visit`, `bends` and `outputs` say what an activation does, `probe` at single points, `choices` what
maxima choose where that counts. `steps` reads the flips as a path, `segments` joins those of its parts.
`crew` runs a network on threads.
"""

from spaceprobe.folding.layerwise.crew import Crew
from spaceprobe.folding.layerwise.probe import count_bits
from spaceprobe.folding.layerwise.walk import paths_per_batch, walk_layers

__all__ = ["Crew", "count_bits", "paths_per_batch", "walk_layers"]
