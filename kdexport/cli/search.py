"""`search`: the smallest student that is good enough."""

from pathlib import Path
from typing import Any

import click

from kdexport.cli.options import PATH, FiniteRange, show_progress
from kdexport.cli.outputs import OUTPUT, GuardedCommand, json_option, refuse_unwritable
from kdexport.cli.recipes import build_recipe, recipe_options
from kdexport.cli.steps import finish, force_option
from kdexport.cli.teachers import load_teachers, name_teachers, teacher_options


@click.command(cls=GuardedCommand)
@click.argument("data", type=PATH, required=False)
@click.option("--max-bytes", type=click.IntRange(min=1), help="The student's file at most.")
@click.option(
    "--min-recovered-lower",
    type=FiniteRange(min=0, max=1),
    help="Share of the edge that it keeps.",
)
@recipe_options
@click.option(
    "-o", "--output", type=OUTPUT, help="Folder to write; runs/x-search for x.csv by default."
)
@teacher_options
@force_option
@json_option
def search(
    data: Path | None,
    max_bytes: int | None,
    min_recovered_lower: float | None,
    output: Path | None,
    force: bool,
    json_path: str | None,
    **options: Any,
) -> None:
    """Write a bundle of the smallest student that is good enough.

    Students of many shapes are tried. Without limits the smallest ships that is as good as the
    usual student, and no slower. The teacher is trained once and answers once. Exit code 1: none
    keeps the limits on validation rows and nothing is written; or one does, and test rows say
    otherwise.

    \b
    Example:
      kdexport search data.csv --target y --min-recovered-lower 0.8
    """
    from rich.console import Console

    from kdexport.evidence.front import Limits
    from kdexport.report.front import render_search
    from kdexport.search import search as search_shapes

    recipe = build_recipe(options, data, name_teachers(options))
    output = output or Path("runs") / f"{data.stem if data else recipe.data.task}-search"
    refuse_unwritable(json_path, output=output, sources=recipe.teacher.own)
    teacher = load_teachers(options["teachers"], recipe, trust=options["trust"])
    with show_progress() as on_progress:
        evidence = search_shapes(
            recipe,
            output,
            limits=Limits(max_bytes, min_recovered_lower),
            data=data,
            test=options["test"],
            teacher=teacher,
            unlabeled=options["unlabeled"],
            force=force,
            on_progress=on_progress,
        )
    if evidence.search is not None:
        Console(stderr=True).print(render_search(evidence.search))
    finish(evidence, output, json_path)
