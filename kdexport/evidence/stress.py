"""Rows that real tables will hold some day: a cell blank, unseen, infinite or huge.

Takes real inputs, gives altered copies. Parity is checked on them as strictly as on real rows.
"""

import numpy as np

from kdexport.records import Column, Inputs, spread_rows

UNSEEN = "\N{REPLACEMENT CHARACTER} never seen"
HUGE = 1e30


def make_stress_inputs(inputs: Inputs, *, max_rows: int) -> Inputs:
    """Return copies of the rows with one cell each altered, columns taking turns.

    Four copies: a cell blanked (number or text), a text unseen, a number infinite, a number huge;
    infinite and huge ones alternate in sign. Kinds that the inputs have no column for are left out.

    Args:
        inputs: Real rows.
        max_rows: Rows to alter, evenly spread over the inputs.
    """
    base = inputs.take(spread_rows(inputs.n_rows, max_rows))
    d_numeric, d_text = inputs.numeric.shape[1], inputs.categorical.shape[1]
    signs = np.where(np.arange(base.n_rows) // max(d_numeric, 1) % 2, -1.0, 1.0)
    stressed = [_blank(base)]
    if d_text:
        stressed.append(Inputs(base.numeric, _alter(base.categorical, UNSEEN)))
    if d_numeric:
        stressed += [
            Inputs(_alter(base.numeric, signs * size), base.categorical) for size in (np.inf, HUGE)
        ]
    first, *others = stressed
    for other in others:
        first = first.joined_with(other)
    return first


def _blank(base: Inputs) -> Inputs:
    """Blank one cell of each row, the columns of both inputs taking turns."""
    d_numeric, d_text = base.numeric.shape[1], base.categorical.shape[1]
    turn = np.arange(base.n_rows) % (d_numeric + d_text)
    numeric, categorical = base.numeric.copy(), base.categorical.copy()
    numeric[turn < d_numeric, turn[turn < d_numeric]] = np.nan
    categorical[turn >= d_numeric, turn[turn >= d_numeric] - d_numeric] = ""
    return Inputs(numeric, categorical)


def _alter(values: Column, new: object) -> Column:
    """Set one cell of each row, the columns taking turns."""
    altered = values.copy()
    rows = np.arange(len(values))
    altered[rows, rows % values.shape[1]] = new
    return altered
