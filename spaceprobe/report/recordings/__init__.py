"""The report of a recording of a training loop."""
