"""CIFAR-10: colour photographs of ten things, through torchvision."""

from spaceprobe.data.torchvision_sets import TorchvisionSet, torchvision_entry

NAMES = "airplane automobile bird cat deer dog frog horse ship truck"

ENTRY = torchvision_entry(
    TorchvisionSet(
        class_name="CIFAR10",
        files={
            "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
            "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
            "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
            "cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        input_shape=(3, 32, 32),
        class_names=NAMES.split(),
        num_classes=10,
        num_training_points=50_000,
    )
)
