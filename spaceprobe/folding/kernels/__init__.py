"""The compiled modules of the kernel walk, which is called through `spaceprobe.folding.kernel_walk`.

`entry` has the loops that Python calls. `network` holds a packed network and what belongs to an image,
`workspace` the memory of a walking thread. `sweep` walks a path layer by layer, with `slopes` (where it
starts), `flips` (their lists) and `product` (the sums that deep networks spend their time on); `careful`
walks the few paths that come close to a tie. `reading` turns a walk into length, reach and peak, `tally`
counts them. `vectors` and `compiling` are what numba lacks.
"""
