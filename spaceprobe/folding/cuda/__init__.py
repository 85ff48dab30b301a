"""The exact walk of an MLP as a CUDA kernel: one path a warp, one unit a lane.

`walk`, `slopes` and `flips` hold the walk, `reading` turns it into length, reach and peak, `entry` has the
kernels. They are written once, over the primitives of `lanes`, in which a value of a lane is a vector of 32:
so the tests run them on any machine. `toolchain` is the one module that knows numba-cuda; it compiles the
same functions with a GPU's primitives (`binding`), where a value of a lane is a scalar. `images`, `kept` and
`layout` hold what is in memory, and `launching` streams the pairs of a grid through a device.

The mathematics is that of `spaceprobe.folding.kernels.sweep`. The text is another one, because a CPU sorts,
merges and appends one by one where a warp does so by rank, all lanes at once.
"""
