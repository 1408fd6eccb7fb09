"""From a model's raw inputs to what networks read: numbers, indicators, categories.

Takes `Inputs`, gives tensors. Two steps, so that rows stay small in memory: `Encoder.prepare`
makes compact rows (numbers, indicators, one code per category) once; `Encoder.forward` spreads
numbers into pieces (where it reads them so) and codes into 0 and 1 when a network reads a batch.
A network of the oblique form asks for the numbers themselves too: `Encoder.numbers`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from kdexport.knots import Knots
from kdexport.records import Float32, Float64, Inputs
from kdexport.schema import FLOAT32_MAX, OTHER, Schema
from kdexport.student_section import Form
from kdexport.training.pieces import Pieces

LARGEST_STANDARDISED = 1e20  # beyond it a network's float32 sums could overflow
FAR_OUT = 1e6  # deviations within which no bound may fall
LARGEST_CODE = 2**24  # compact rows hold codes as float32
MAX_FOLDED_OFFSET = 1.0  # deviations of a centre from 0


class Encoder(nn.Module):
    """Reads inputs the way a schema says.

    A missing number counts as the column's mean, and its indicator (where training had missing
    cells) says so; an infinite or absurdly large one as the largest that no network overflows on;
    a column that was constant in training as 0. An unseen category has code 0 of its column.
    Numbers are standardised, or read as pieces that end where training did.

    An exported network has the scale in its weights, and the centre in its bias too where every
    one is within a deviation of 0. Elsewhere that would cost about log2(|centre| / deviation) bits
    of float32, so one node subtracts it; and there the file gets what is read here to the last
    bit: centres are float32 numbers and scales powers of two, so that only the difference rounds.
    The oblique form, whose pieces read standardised numbers, is always exported like that, with
    the scale in a node of its own.

    Attributes:
        is_folded: Whether centre and scale stand in an exported network's weights and bias alone.
        center: Mean of each numeric column, **Shape** `[F]` float64.
        inverse_scale: 1 / deviation, 0 for constant columns, **Shape** `[F]` float64.
        limit: Numbers (less their centre, where precision is float64) are bounded by +-limit,
            **Shape** `[F]` float64: one value for all columns unless their scales are worlds apart.
        offsets: First row of each categorical column's codes, **Shape** `[C]` int64.
        form: How numbers are read.
        pieces: What each number is spread into, or None.
        columns, starts, slopes: Theirs, each **Shape** `[P]`.
        d_compact: Numbers and indicators of a compact row.
        d_dense: The same of a spread one.
    """

    columns: Tensor
    starts: Tensor
    slopes: Tensor

    def __init__(self, schema: Schema, *, form: Form = "plain") -> None:
        super().__init__()
        self.schema, self.form = schema, form
        self.center: Float64 = np.array(schema.center, np.float64)
        scales = np.array(schema.scale, np.float64)
        self.limit = _find_limits(self.center, scales)  # the same in whatever form
        varies = scales > 0
        is_narrow = schema.signature.precision == "float32"
        offsets = np.abs(self.center[varies]) / scales[varies]
        is_near = bool((offsets <= MAX_FOLDED_OFFSET).all())
        self.is_folded = is_narrow and form != "oblique" and is_near
        if not self.is_folded:
            if is_narrow:
                self.center = self.center.astype(np.float32).astype(np.float64)
            scales[varies] = np.exp2(np.round(np.log2(scales[varies])))
        self.inverse_scale: Float64 = np.divide(
            1.0, scales, out=np.zeros_like(scales), where=varies
        )
        self.pieces = None if form == "plain" else Pieces.between(self._place_knots())
        if self.pieces is not None:
            for name, values in vars(self.pieces).items():
                self.register_buffer(name, torch.from_numpy(values), persistent=False)
        sizes = [category.n_codes for category in schema.categories]
        self.offsets = np.cumsum([0, *sizes])[:-1].astype(np.int64)
        n_numeric, n_indicators = len(schema.signature.numeric), len(schema.indicators)
        self.d_compact = n_numeric + n_indicators
        self.d_dense = (n_numeric if self.pieces is None else len(self.pieces)) + n_indicators
        if schema.n_codes > LARGEST_CODE:
            raise ValueError(f"a schema has at most {LARGEST_CODE} codes: {schema.n_codes}")

    @property
    def d_in(self) -> int:
        """About how many inputs of a network are not 0: a column's pieces weigh as two of them."""
        n_numeric = len(self.schema.signature.numeric)
        n_extra = 0 if self.pieces is None else n_numeric
        return self.d_compact + n_extra + len(self.schema.categories)

    @property
    def d_out(self) -> int:
        """Width of what `forward` gives: numbers or pieces, indicators, one column per code."""
        return self.d_dense + self.schema.n_codes

    @property
    def exported_center(self) -> Float64:
        """What the exported network still has to subtract: the graph does it for float64.

        Nothing from a constant column, which has no weight: its numbers only must not overflow.
        """
        is_centred = self.schema.signature.precision == "float64"
        return np.where(is_centred | (self.inverse_scale == 0), 0.0, self.center)

    def standardize(self, numeric: Float32 | Float64) -> Float32:
        """Raw numbers to standardised ones, **Shape** both `[n, F]`, computed in float64."""
        is_centred = self.schema.signature.precision == "float64"
        filled = self.fill(numeric)
        scaled = (filled if is_centred else filled - self.center) * self.inverse_scale
        return scaled.astype(np.float32)

    def fill(self, numeric: Float32 | Float64) -> Float64:
        """Replace missing numbers by the mean and bound extreme ones, **Shape** both `[n, F]`.

        Of a float64 signature, less the column's centre.
        """
        exact = numeric.astype(np.float64)
        center = self.center
        if self.schema.signature.precision == "float64":
            exact, center = exact - center, np.zeros_like(center)
        bounded = np.clip(exact, -self.limit, self.limit)
        return np.where(np.isnan(exact), center, bounded)

    def prepare(self, inputs: Inputs, device: str = "cpu") -> Tensor:
        """Return compact rows, **Shape** `[n, F + I + C]` float32."""
        is_raw, numeric = self.form == "piecewise", inputs.numeric
        parts = [
            self.fill(numeric).astype(np.float32) if is_raw else self.standardize(numeric),
            np.isnan(inputs.numeric[:, list(self.schema.indicators)]).astype(np.float32),
            (self.schema.encode_categories(inputs.categorical) + self.offsets).astype(np.float32),
        ]
        return torch.from_numpy(np.concatenate(parts, axis=1)).to(device)

    def numbers(self, rows: Tensor) -> Tensor:
        """Drop codes from compact rows, **Shape** `[..., F + I + C]` to `[..., F + I]`."""
        return rows[..., : self.d_compact]

    def forward(self, rows: Tensor) -> Tensor:
        """Spread compact rows, **Shape** `[..., F + I + C]` to `[..., d_out]` float32."""
        if self.pieces is None and not self.schema.categories:
            return rows
        spread = rows.new_zeros(*rows.shape[:-1], self.d_out)
        n_numeric = len(self.schema.signature.numeric)
        numbers = rows[..., :n_numeric] if self.pieces is None else self._rise(rows)
        spread[..., : numbers.shape[-1]] = numbers
        spread[..., numbers.shape[-1] : self.d_dense] = rows[..., n_numeric : self.d_compact]
        codes = rows[..., self.d_compact :].long() + self.d_dense
        return spread.scatter_(-1, codes, 1.0)

    def _place_knots(self) -> Knots:
        """Return the schema's knots in the unit of compact rows."""
        knots = self.schema.knots
        if self.form != "oblique":
            return knots
        columns = zip(knots, self.exported_center, self.inverse_scale, strict=False)
        return tuple(
            tuple(((np.array(own) - center) * inverse).tolist()) for own, center, inverse in columns
        )

    def _rise(self, rows: Tensor) -> Tensor:
        """Numbers to their pieces, **Shape** `[..., F + I + C]` to `[..., P]`."""
        columns = self.columns.expand(*rows.shape[:-1], -1)  # gather: 3 times as fast as indexing
        return (rows.gather(-1, columns) - self.starts).mul_(self.slopes).clamp_(0.0, 1.0)

    def fallbacks(self) -> tuple[Sequence[int], Float32]:
        """Say which inputs training never sets, and what they stand for.

        A column without rare categories meets code 0 only at inference. It then counts as the
        average of the kept categories.

        Returns:
            Positions in `[0, d_out)`, and the mean input of each, **Shape** `[., d_out]` float32.
        """
        positions, means = [], []
        for offset, category in zip(self.offsets.tolist(), self.schema.categories, strict=True):
            if not category.has_other:
                first = self.d_dense + offset
                mean = np.zeros(self.d_out, np.float32)
                mean[first + 1 : first + category.n_codes] = category.shares
                positions.append(first + OTHER)
                means.append(mean)
        return positions, np.array(means, np.float32).reshape(len(means), self.d_out)


def _find_limits(center: Float64, scales: Float64) -> Float64:
    """Return the bound of each column: low enough for float32 sums, far beyond real values."""
    limits = np.where(scales > 0, np.minimum(LARGEST_STANDARDISED * scales, FLOAT32_MAX), np.inf)
    lowest = min(float(limits.min(initial=np.inf)), FLOAT32_MAX)
    farthest = float((np.abs(center) + FAR_OUT * scales).max(initial=0.0))
    one_for_all = np.full_like(limits, lowest)
    return one_for_all if lowest >= farthest else np.minimum(limits, FLOAT32_MAX)
