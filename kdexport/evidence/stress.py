"""Rows that real tables will hold some day: a cell blank, unseen, infinite or huge.

Takes real inputs, gives altered copies. Parity is checked on them as strictly as on real rows.
"""

import numpy as np

from kdexport.records import Bools, Inputs, spread_rows

UNSEEN = "\N{REPLACEMENT CHARACTER} never seen"
HUGE = 1e30


def make_stress_inputs(inputs: Inputs, *, max_rows: int) -> Inputs:
    """Return copies of the rows with one cell each altered, columns taking turns.

    Four copies: a cell blanked (number or text), a text unseen, a number infinite, a number huge;
    infinite and huge ones alternate in sign. Kinds that the inputs have no column for are left out.
    Where rows are too few for every column's turn, several columns share one.

    Args:
        inputs: Real rows.
        max_rows: Rows to alter, evenly spread over the inputs.
    """
    base = inputs.take(spread_rows(inputs.n_rows, max_rows))
    n_rows = base.n_rows
    d_numeric, d_text = inputs.numeric.shape[1], inputs.categorical.shape[1]
    stressed = [_blank(base)]
    if d_text:
        turns = _take_turns(n_rows, d_text)
        unseen = base.categorical.copy()
        unseen[turns] = UNSEEN
        stressed.append(Inputs(base.numeric, unseen))
    if d_numeric:
        n_turns = max(1, min(d_numeric, n_rows // 2))  # twice, once for each sign
        turns = _take_turns(n_rows, d_numeric, n_turns=n_turns)
        signs = np.where(np.arange(n_rows) // n_turns % 2, -1.0, 1.0)[:, None]
        for size in (np.inf, HUGE):
            numeric = base.numeric.copy()
            numeric[turns] = np.broadcast_to(signs * size, turns.shape)[turns]
            stressed.append(Inputs(numeric, base.categorical))
    first, *others = stressed
    for other in others:
        first = first.joined_with(other)
    return first


def _take_turns(n_rows: int, n_columns: int, *, n_turns: int | None = None) -> Bools:
    """Say which columns have their turn in which row, **Shape** `[n, d]`.

    One column in each row, and in each column a row: where rows are fewer, columns share them.

    Args:
        n_rows: As many rows.
        n_columns: As many columns.
        n_turns: After so many rows every column has had its turn; None for as many as can be.
    """
    n_turns = n_turns or max(1, min(n_rows, n_columns))
    whose: Bools = np.arange(n_columns) % n_turns == (np.arange(n_rows) % n_turns)[:, None]
    return whose


def _blank(base: Inputs) -> Inputs:
    """Blank one cell of each row, the columns of both inputs taking turns."""
    d_numeric, d_text = base.numeric.shape[1], base.categorical.shape[1]
    turns = _take_turns(base.n_rows, d_numeric + d_text)
    numeric, categorical = base.numeric.copy(), base.categorical.copy()
    numeric[turns[:, :d_numeric]] = np.nan
    categorical[turns[:, d_numeric:]] = ""
    return Inputs(numeric, categorical)
