"""The command without what only POSIX systems have, as a stand-in for Windows: run with its arguments.

What the libraries need of it is imported first: they have versions for that system, and spaceprobe is one
for all.
"""

import importlib
import os
import signal
import sys

LIBRARIES = (
    *("torch", "numpy", "pandas", "numba", "scipy.stats", "sklearn.neighbors", "distributed", "psutil"),
    *("pydantic", "yaml", "click", "tqdm", "matplotlib.pyplot", "jinja2", "safetensors.torch"),
    *("platformdirs", "cryptography", "subprocess"),
)
SIGNALS = ("SIGHUP", "pthread_sigmask", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGQUIT")
CALLS = (
    *("sched_getaffinity", "getuid", "geteuid", "fchmod", "fchown", "pread", "pwrite", "O_NONBLOCK"),
    *("O_DIRECTORY", "O_NOFOLLOW", "mkfifo", "killpg", "setsid", "getpgid", "nice", "uname", "getloadavg"),
    "statvfs",
)
MODULES = ("fcntl", "resource", "pwd", "grp", "termios")

if __name__ == "__main__":
    for name in LIBRARIES:
        importlib.import_module(name)
    for name in SIGNALS:
        delattr(signal, name)
    for name in CALLS:
        delattr(os, name)
    for name in MODULES:
        sys.modules[name] = None
    from spaceprobe.__main__ import main

    main()
