"""Jobs, which are computed here or by a worker elsewhere, and what they leave in a run's folder."""
