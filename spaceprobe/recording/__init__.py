"""What a recorder measures of a network while any loop trains it, and the folder that it writes.

`spaceprobe.Recorder` is the face; docs/training.md shows it in loops.
"""
