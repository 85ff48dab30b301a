"""Studies: settings, runs, stages and results."""
