"""USPS: digits of 16 × 16 pixels from envelopes, through torchvision."""

from spaceprobe.data.entry import describe_digit
from spaceprobe.data.torchvision_sets import TorchvisionSet, torchvision_entry

ENTRY = torchvision_entry(
    TorchvisionSet(
        class_name="USPS",
        files={
            "usps.bz2": "ec16c51db3855ca6c91edd34d0e9b197",
            "usps.t.bz2": "8ea070ee2aca1ac39742fdd1ef5ed118",
        },
        input_shape=(16, 16),
        num_training_points=7_291,
    ),
    describe_digit,
)
