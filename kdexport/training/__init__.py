"""Training: built-in tasks, the stacked networks, the one loop, teacher and students.

Importing this room, before torch, bounds how long torch's OpenMP threads spin while they wait for
each other. By default they spin so long that one busy neighbour on a core they count on makes
training about 20 times slower; with this bound it costs nothing, and neither does the bound when
the machine is idle (benchmarks/spinning.py measures both).
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
