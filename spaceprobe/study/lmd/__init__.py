"""How the Layer Matrix Decomposition of a study, or of a file of weights, is put together."""
