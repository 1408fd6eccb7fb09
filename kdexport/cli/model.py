"""Commands on one model file: `predict` and `info`. They need no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from kdexport.cli.options import NAMES, PATH, csv_format_of, csv_options
from kdexport.cli.outputs import (
    OUTPUT,
    GuardedCommand,
    dump_json,
    json_option,
    refuse_unwritable,
    write_json,
)

CSV_ENDINGS = {"", ".csv", ".txt"}


@click.command(cls=GuardedCommand)
@click.argument("model", type=PATH)
@click.argument("data", type=PATH)
@click.option("-o", "--output", type=OUTPUT, required=True, help="CSV or Parquet file to write.")
@click.option(
    "--keep",
    multiple=True,
    help=f"Input columns to copy as they stand in the data, between commas. {NAMES}",
)
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@csv_options
def predict(
    model: Path, data: Path, output: Path, keep: tuple[str, ...], force: bool, **options: Any
) -> None:
    """Answer every row of DATA with MODEL, a model file.

    What is written is a label and its probabilities per row, or a number.

    \b
    Example:
      kdexport predict models/clicks/student.onnx new.csv -o answers.csv
    """
    from kdexport.errors import OutputError, one_line
    from kdexport.runtime import open_session
    from kdexport.runtime import predict as predict_table
    from kdexport.signature import listed
    from kdexport.streams import TableFile, answer_file

    _refuse_ending(output)
    if output.exists() and not force:
        raise OutputError(
            "an output that exists is kept",
            found=f"{str(output)!r} exists",
            cure="pass --force to replace it",
        )
    session = open_session(model)
    signature = session.signature
    numbers = signature.numbers_and_flags
    file = TableFile(data, csv_format_of(options), signature.categorical, numbers)
    kept = _find_kept(keep, file.names)
    extra = set(file.names) - {*signature.columns, signature.target}
    if extra:
        note = f"columns the model does not take: {listed(sorted(extra))}"
        click.echo(f"note: {one_line(note)}", err=True)
    signature.refuse_absent(file.names, file.path.name)
    n_rows = answer_file(
        file,
        lambda table: predict_table(session, table),
        output,
        columns=signature.columns,
        keep=kept,
    )
    click.echo(f"{n_rows:,} rows in {output}", err=True)


@click.command(cls=GuardedCommand)
@click.argument("model", type=PATH)
@json_option
def info(model: Path, json_path: str | None) -> None:
    """Show what MODEL takes and gives, its size and its evidence.

    All of it stands in the file itself.

    \b
    Example:
      kdexport info models/clicks/student.onnx
    """
    from kdexport.info import describe_model
    from kdexport.runtime import read_model

    refuse_unwritable(json_path)
    facts = describe_model(read_model(model), model.name, model.resolve().parent)
    if json_path != "-":
        for key, value in facts.items():
            click.echo(f"{key:17} {dump_json(value).strip(chr(34))}")
    write_json(facts, json_path)


def _refuse_ending(output: Path) -> None:
    """Refuse a file of answers whose ending does not say what to write."""
    from kdexport.errors import OutputError
    from kdexport.tables import names_parquet

    is_csv = output.suffix.lower() in CSV_ENDINGS and output.name != "-"
    if not (is_csv or names_parquet(output)):
        raise OutputError(
            "answers are written into a CSV or Parquet file, by its ending",
            found=repr(str(output)),
            cure="pass -o answers.csv or -o answers.parquet",
        )


def _find_kept(keep: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the columns that --keep names, each once, all of them columns of the data."""
    from kdexport.errors import DataError
    from kdexport.signature import listed

    kept = [*dict.fromkeys(name for name in ",".join(keep).split(",") if name)]
    absent = [name for name in kept if name not in names]
    if absent:
        raise DataError(
            "--keep names columns of the data",
            found=f"no column {absent[0]!r}",
            cure=f"its columns are {listed(names)}",
        )
    return kept
