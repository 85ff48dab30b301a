"""Networks, their training and their checkpoints."""
