"""Studies: their settings and runs, what is stored of them, and what takes them through their stages."""
