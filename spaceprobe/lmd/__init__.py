"""Layer Matrix Decomposition of weight matrices: tensors in, factors and tables out."""

from spaceprobe.lmd.factors import Certificate, Factors, certify, decompose

__all__ = ["Certificate", "Factors", "certify", "decompose"]
