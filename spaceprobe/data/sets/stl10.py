"""STL-10: colour photographs of 96 × 96 pixels, through torchvision.

It wants the file of unlabelled images beside those that are read.
"""

from spaceprobe.data.torchvision_sets import TorchvisionSet, torchvision_entry

ENTRY = torchvision_entry(
    TorchvisionSet(
        class_name="STL10",
        train={"split": "train"},
        test={"split": "test"},
        files={
            "stl10_binary/train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
            "stl10_binary/train_y.bin": "5a34089d4802c674881badbb80307741",
            "stl10_binary/test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
            "stl10_binary/test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
        },
        input_shape=(3, 96, 96),
        class_names=("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
        num_training_points=5_000,
    )
)
