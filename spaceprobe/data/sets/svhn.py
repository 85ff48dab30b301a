"""SVHN: digits of house numbers in colour, through torchvision."""

from spaceprobe.data.entry import describe_digit
from spaceprobe.data.torchvision_sets import TorchvisionSet, torchvision_entry

ENTRY = torchvision_entry(
    TorchvisionSet(
        class_name="SVHN",
        train={"split": "train"},
        test={"split": "test"},
        files={
            "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
            "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
        },
        input_shape=(3, 32, 32),
        num_training_points=73_257,
    ),
    describe_digit,
)
