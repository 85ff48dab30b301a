"""Datasets as tensors in memory, each an entry of a registry."""
