"""How many threads torch computes on while kdexport trains; afterwards as many as before."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kdexport.cores import count_cores


@contextmanager
def use_threads(asked: int) -> Iterator[int]:
    """Have torch use `asked` threads, or with 0 as many as this process may, within the block.

    Gives their number. Torch has one for the whole process: so it is put back, whatever happens.
    """
    before = torch.get_num_threads()
    n_threads = asked or count_cores()
    torch.set_num_threads(n_threads)
    try:
        yield n_threads
    finally:
        torch.set_num_threads(before)
