"""Compiled rooms of the kernel walk; the public face is `spaceprobe.folding.kernel_walk`.

`vectors` gives numba SIMD vectors; `network` holds a packed network and what belongs to an image;
`sweep` walks a path layer by layer; `careful` walks the few paths that come close to a tie; `reading`
turns a walk into length, reach and peak; `entry` has the two loops that Python calls.
"""
