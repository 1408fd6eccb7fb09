"""What a search's candidates say, in words.

Takes candidates, gives sentences, each with its reason. Imports facts and what lists them.
"""

from collections.abc import Sequence

from kdexport.evidence.front import list_batches, list_measured
from kdexport.evidence.search_facts import CandidateFact, name_int8

ONE = "1"


def advise(
    candidates: Sequence[CandidateFact],
    *,
    chosen: CandidateFact | None = None,
    small: CandidateFact | None = None,
) -> list[str]:
    """Say which family wins where, and what is not worth doing.

    Args:
        candidates: All of the search.
        chosen: The one that ships, if one does.
        small: What would be chosen if networks in int8 might ship; None where that is no other.
    """
    measured = list_measured(candidates)
    lines = []
    for batch in list_batches(measured):
        lowest = min(measured, key=lambda one: one.p50_us.get(batch, float("inf")))
        rows = "one row" if batch == ONE else f"{int(batch):,} rows"
        lines.append(
            f"Lowest median for {rows}: {lowest.name}, {lowest.p50_us[batch]:,.1f} us, with "
            f"{lowest.share or 0.0:z.0%} of the way from its control to the teacher on validation "
            "rows; others close to it may be as fast."
        )
    best = min(measured, key=lambda one: one.validation_loss)
    lines.append(f"Closest to the teacher on validation rows: {best.name}, {best.bytes:,} bytes.")
    on_front = [one for one in measured if one.is_on_front]
    families = {one.family for one in on_front}
    trees = [one for one in measured if one.family == "trees"]
    if trees and families == {"network"}:
        closest = min(trees, key=lambda one: one.validation_loss)
        lines.append(
            f"No small trees are on the front: {closest.name} have {closest.bytes:,} bytes and a "
            f"validation loss of {closest.validation_loss:.4f}, and a network has less of both."
        )
    elif trees:
        small = min(
            (one for one in on_front if one.family == "trees"), key=lambda one: one.bytes or 0
        )
        lines.append(
            f"Small trees are on the front: {small.name} in {small.bytes:,} bytes. They are "
            "reported, and do not ship: a bundle's student is a network."
        )
    if small is not None and (chosen is None or small.name != name_int8(chosen.name)):
        lines.append(f"If int8 might ship, {describe_small(small)}.")
    return [*lines, _advise_on_int8(measured)]


def describe_small(small: CandidateFact) -> str:
    """Say how to get a network in int8 that no bundle of the search holds."""
    return (
        f"{small.name} would be chosen, {small.share or 0.0:z.0%} of the way in {small.bytes:,} "
        "bytes: `kdexport run` with its widths and form (--hidden, student.form), then "
        "`kdexport quantize`"
    )


def _advise_on_int8(measured: Sequence[CandidateFact]) -> str:
    """Say what int8 saves and what a call of it takes, by the network that saves most."""
    floats = {name_int8(one.name): one for one in measured if one.precision != "int8"}
    pairs = [(floats[one.name], one) for one in measured if one.precision == "int8"]
    if not pairs:
        return (
            "No network here is worth storing in int8: files this small save too little, or lose "
            "too much."
        )
    before, after = max(pairs, key=lambda pair: (pair[0].bytes or 0) - (pair[1].bytes or 0))
    said = f"In int8, {before.name} has {after.bytes:,} bytes of {before.bytes:,}"
    if ONE in before.p50_us and ONE in after.p50_us:
        said += f", and one row takes {after.p50_us[ONE]:,.1f} us of {before.p50_us[ONE]:,.1f}"
    return f"{said}: do not quantize for speed; do for flash, with `kdexport quantize`."
