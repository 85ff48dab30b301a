"""Images of 4 × 4 pixels with a bar that lies or stands."""

from spaceprobe.data.arrays import arrays_entry
from spaceprobe_example.drawing import SIDE, draw_bars

ENTRY = arrays_entry(lambda: draw_bars(120), input_shape=(SIDE, SIDE), num_classes=2, num_training_points=80)
