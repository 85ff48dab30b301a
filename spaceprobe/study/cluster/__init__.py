"""Runs of a study on many processes: clusters of Dask workers, here or by SLURM."""
