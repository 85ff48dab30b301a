"""Layer Matrix Decomposition of weight matrices: tensors in, factors and tables out."""

from spaceprobe.lmd.certificate import Certificate, certify
from spaceprobe.lmd.factors import Factors, decompose

__all__ = ["Certificate", "Factors", "certify", "decompose"]
