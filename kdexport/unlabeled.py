"""Rows without labels that join the transfer set: read by the schema, held beside the test part.

Takes a table, gives `Unlabeled`. Imports numpy and the rooms above it only.
"""

import warnings

from kdexport.errors import DataError, KdexportWarning
from kdexport.records import Rows, Table, Unlabeled
from kdexport.schema import Schema, refuse_huge


def read_unlabeled(table: Table, schema: Schema, test: Rows) -> Unlabeled:
    """Take rows without labels, whatever other columns they have.

    Rows with the inputs of test rows may be among them: no label is learned from them. They are
    counted, and said.

    Args:
        table: Rows that have every column the model takes.
        schema: Which columns these are.
        test: The test part.

    Raises:
        DataError: A column is absent or holds something else than in training, or there is no row.
    """
    if not table.n_rows:
        raise DataError(
            "a table of unlabelled rows has rows", found=f"none in {table.source}", cure="leave it"
        )
    inputs = schema.signature.take_inputs(table)
    for i, name in enumerate(schema.signature.numeric):
        refuse_huge(inputs.numeric[:, i], name, table.source)
    n_in_test = inputs.count_in(test.inputs)
    if n_in_test:
        warnings.warn(
            f"{n_in_test} of the {table.n_rows} unlabelled rows of {table.source} have the inputs "
            "of test rows: the students learn what the teacher answers for them, though no label. "
            "The evidence says so",
            KdexportWarning,
            stacklevel=3,
        )
    return Unlabeled(inputs, table.source, table.hash(), n_in_test)
