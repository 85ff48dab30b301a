"""Results: reads what a finished study left: its tables, its trained networks, the paths between its images."""
