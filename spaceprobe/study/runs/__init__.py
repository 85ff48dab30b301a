"""What a run is: its settings, and the data and network that they describe."""
