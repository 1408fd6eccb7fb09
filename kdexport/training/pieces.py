"""Numbers read piece by piece: each piece rises from 0 to 1 over its part of a column's range.

Takes knots, gives the slopes and starts of `clip((x - start) * slope, 0, 1)`. Slopes are powers of
two, so that x * slope is exact in floating point: the sum that an exported product computes is
rounded once, as the difference here is, and both agree to the last bit.
"""

from dataclasses import dataclass

import numpy as np

from kdexport.knots import Knots
from kdexport.records import Float32, Int64

LARGEST_EXPONENT = 60  # of a slope: far beyond what real columns need, far from float32's ends


@dataclass(frozen=True)
class Pieces:
    """P pieces over the numeric columns.

    Attributes:
        columns: Position of the column that each one reads, **Shape** `[P]` int64.
        starts: Where it leaves 0, in the unit of the rows, **Shape** `[P]` float32.
        slopes: Powers of two, **Shape** `[P]` float32.
    """

    columns: Int64
    starts: Float32
    slopes: Float32

    @classmethod
    def between(cls, knots: Knots) -> "Pieces":
        """One piece from each knot to at least the next, and one over a column's whole range.

        Args:
            knots: In the unit of the rows that pieces read. Those that float32 holds as one
                number count as one.
        """
        columns: list[int] = []
        starts: list[float] = []
        widths: list[float] = []
        for column, own in enumerate(knots):
            ends = np.unique(np.array(own, np.float32)).tolist()
            low, high = list(ends[:-1]), list(ends[1:])
            if len(low) > 1:
                low.append(ends[0])
                high.append(ends[-1])
            columns += [column] * len(low)
            starts += low
            widths += np.subtract(high, low).tolist()
        exponents = np.ceil(np.log2(widths)).clip(-LARGEST_EXPONENT, LARGEST_EXPONENT)
        return cls(
            np.array(columns, np.int64),
            np.array(starts, np.float32),
            np.exp2(-exponents).astype(np.float32),
        )

    def __len__(self) -> int:
        return len(self.columns)
