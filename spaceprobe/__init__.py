"""Space folding and Layer Matrix Decomposition of ReLU networks."""
