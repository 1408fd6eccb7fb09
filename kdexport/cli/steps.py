"""`run`, and the same job one step at a time: `train`, `distill`, `export`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdexport.cli.options import PATH, show_progress
from kdexport.cli.outputs import (
    OUTPUT,
    GuardedCommand,
    json_option,
    refuse_unwritable,
    write_json,
)
from kdexport.cli.recipes import build_recipe, column_options, golden_option, recipe_options
from kdexport.cli.teachers import (
    answer_options,
    load_teachers,
    name_teachers,
    teacher_options,
)
from kdexport.sections import GoldenKind

if TYPE_CHECKING:
    from kdexport.evidence.facts import Evidence

force_option = click.option("--force", is_flag=True, help="Replace an output that exists.")


@click.command(cls=GuardedCommand)
@click.argument("data", type=PATH, required=False)
@recipe_options
@click.option("-o", "--output", type=OUTPUT, help="Folder to write; runs/x for x.csv by default.")
@teacher_options
@answer_options
@force_option
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped; keep its steps.")
@click.option("--list-tasks", is_flag=True, help="List the built-in tasks and stop.")
@json_option
def run(
    data: Path | None,
    output: Path | None,
    force: bool,
    resume: bool,
    list_tasks: bool,
    json_path: str | None,
    **options: Any,
) -> None:
    """Do the whole job: a table in, a bundle with its evidence out.

    DATA is a CSV or Parquet file; without it the job runs on a built-in task. Exit code 1: the
    bundle is written, but breaks a budget of the recipe's [budgets].

    \b
    Example:
      kdexport run data.csv --target y -o models/x
    """
    if list_tasks:
        from kdexport.training.tasks import TASKS

        for name, (description, _) in TASKS.items():
            click.echo(f"{name:15} {description}")
        return
    from kdexport.pipeline import run as run_pipeline

    recipe = build_recipe(options, data, name_teachers(options))
    output = output or Path("runs") / (data.stem if data else recipe.data.task)
    refuse_unwritable(json_path, output=output, sources=recipe.teacher.own)
    teacher = load_teachers(options["teachers"], recipe, trust=options["trust"])
    with show_progress() as on_progress:
        evidence = run_pipeline(
            recipe,
            output,
            data=data,
            test=options["test"],
            teacher=teacher,
            teacher_answers=options["answers"],
            unlabeled=options["unlabeled"],
            unlabeled_answers=options["unlabeled_answers"],
            force=force,
            resume=resume,
            on_progress=on_progress,
        )
    finish(evidence, output, json_path)


@click.command(cls=GuardedCommand)
@click.argument("data", type=PATH, required=False)
@recipe_options
@click.option("-o", "--output", "work", type=OUTPUT, required=True, help="Work folder to write.")
@force_option
def train(data: Path | None, work: Path, force: bool, **options: Any) -> None:
    """Prepare the data and train the teacher, into a work folder.

    \b
    Example:
      kdexport train data.csv --target y -o work/x
    """
    from kdexport.pipeline import train as train_pipeline

    recipe = build_recipe(options, data)
    with show_progress() as on_progress:
        train_pipeline(
            recipe,
            work,
            data=data,
            test=options["test"],
            unlabeled=options["unlabeled"],
            force=force,
            on_progress=on_progress,
        )
    click.echo(f"teacher in {work}; next: kdexport distill {work}")


@click.command(cls=GuardedCommand)
@click.argument("data", type=PATH)
@column_options
@json_option
def schema(data: Path, json_path: str | None, **options: Any) -> None:
    """Show what every column of DATA would be taken as, and why.

    Nothing is trained.

    \b
    Example:
      kdexport schema data.csv --target y
    """
    from rich.console import Console

    from kdexport.prepare import describe_columns
    from kdexport.report.columns import render_columns

    refuse_unwritable(json_path)
    description = describe_columns(build_recipe(options, data), data=data)
    if json_path != "-":
        Console().print(render_columns(description))
    write_json(asdict(description), json_path)


@click.command(cls=GuardedCommand)
@click.argument("work", type=PATH)
@click.option("--recipe", type=PATH, help="Take [student], [transfer] and later sections from it.")
def distill(work: Path, recipe: Path | None) -> None:
    """Train students and controls in a work folder.

    WORK is what `train` wrote.

    \b
    Example:
      kdexport distill work/x
    """
    from kdexport.pipeline import distill as distill_pipeline

    with show_progress() as on_progress:
        distill_pipeline(work, recipe_path=recipe, on_progress=on_progress)
    click.echo(f"students in {work}; next: kdexport export {work} -o models/{work.name}")


@click.command(cls=GuardedCommand)
@click.argument("work", type=PATH)
@click.option("--recipe", type=PATH, help="Take [evidence] and later sections from it.")
@golden_option
@click.option("-o", "--output", type=OUTPUT, required=True, help="Bundle folder to write.")
@force_option
@json_option
def export(
    work: Path,
    recipe: Path | None,
    golden: GoldenKind | None,
    output: Path,
    force: bool,
    json_path: str | None,
) -> None:
    """Export and measure what a work folder holds, into a bundle.

    WORK is what `train` and `distill` wrote. Exit code 1: the bundle is written, but breaks a
    budget of the recipe's [budgets].

    \b
    Example:
      kdexport export work/x -o models/x
    """
    from kdexport.pipeline import export as export_pipeline

    refuse_unwritable(json_path, output=output)
    with show_progress() as on_progress:
        evidence = export_pipeline(
            work, output, recipe_path=recipe, golden=golden, force=force, on_progress=on_progress
        )
    finish(evidence, output, json_path)


def finish(evidence: "Evidence", output: Path, json_path: str | None) -> None:
    """Print a bundle's evidence, hold it to the budgets of its recipe, and write it as JSON.

    The budgets are held whether or not the JSON can be written, and their verdict is printed first.
    """
    _print_evidence(evidence, output)
    is_kept = _hold_to_budgets(output)
    write_json(evidence, json_path)
    if not is_kept:
        raise click.exceptions.Exit(1)


def _print_evidence(evidence: "Evidence", output: Path) -> None:
    from rich.console import Console

    from kdexport.report.terminal import render_evidence

    console = Console(stderr=True)
    console.print(render_evidence(evidence))
    page = output / "report.html"
    look = page if page.exists() else f"kdexport info {output}/student.onnx"
    console.print(f"bundle in {output}; look: {look}", markup=False)


def _hold_to_budgets(output: Path) -> bool:
    """Say which budgets of its recipe a bundle breaks; it stays where it is, to be looked at."""
    from kdexport.bundle import load_bundle
    from kdexport.evidence.checks import check_own_budgets
    from kdexport.report.checks import render_line

    results = check_own_budgets(load_bundle(output))
    broken = [result for result in results if not result.passed]
    for result in broken:
        click.echo(render_line(result), err=True)
    if broken:
        click.echo(f"{len(broken)} of {len(results)} budgets broken: do not ship it", err=True)
    elif results:
        click.echo(f"{len(results)} budgets kept", err=True)
    return not broken
