"""QMNIST: the digits of MNIST made again, with all 60,000 test images, through torchvision."""

from spaceprobe.data.entry import describe_digit
from spaceprobe.data.torchvision_sets import TorchvisionSet, torchvision_entry

ENTRY = torchvision_entry(
    TorchvisionSet(
        class_name="QMNIST",
        files={
            f"QMNIST/raw/qmnist-{split}-{kind}": None
            for split in ("train", "test")
            for kind in ("images-idx3-ubyte", "labels-idx2-int")
        },
        input_shape=(28, 28),
        num_training_points=60_000,
        bars=("QMNIST/processed/train.pt", "QMNIST/processed/test.pt"),
    ),
    describe_digit,
)
