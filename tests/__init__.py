"""Tests mirror the package's rooms.

Threads of OpenMP are set before anything loads it: tables here are small, so that threads cost
more in waiting for each other than they save, twenty times more beside a busy neighbour.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
