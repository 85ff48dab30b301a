"""Datasets as tensors in memory, and which of their images are the ends of paths."""
