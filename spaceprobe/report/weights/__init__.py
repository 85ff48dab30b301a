"""Reports of `spaceprobe lmd --weights`: figures and a page of the matrices in a file, and of two files."""
