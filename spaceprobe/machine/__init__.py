"""What this machine lets a process use: CPUs, folders, threads; and the signals that it sends."""
