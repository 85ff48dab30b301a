"""Results: read what a finished study left: tables, trained networks, and the paths between its images."""
