"""Small schemas and encoders that several training tests share."""

from typing import Literal

from kdexport.schema import Category, Schema
from kdexport.signature import Signature
from kdexport.training.encode import Encoder


def make_encoder(
    n_numeric: int,
    *,
    center: float = 0.0,
    scale: float = 1.0,
    categories: tuple[Category, ...] = (),
    indicators: tuple[int, ...] = (),
    precision: Literal["float32", "float64"] = "float32",
) -> Encoder:
    """An encoder of numbers x0, x1, ... and categories c0, c1, ..."""
    signature = Signature(
        numeric=tuple(f"x{i}" for i in range(n_numeric)),
        categorical=tuple(f"c{i}" for i in range(len(categories))),
        classes=("no", "yes"),
        target="y",
        precision=precision,
    )
    return Encoder(
        Schema(
            signature=signature,
            center=(center,) * n_numeric,
            scale=(scale,) * n_numeric,
            categories=categories,
            indicators=indicators,
        )
    )
