"""Commands on one model file: `predict` and `info`. They need no torch."""

import json
from pathlib import Path
from typing import Any

import click

from kdexport.cli.options import csv_options, dump_json, json_option, write_json

PATH = click.Path(path_type=Path)
CSV_ENDINGS = {"", ".csv", ".txt"}
GOLDEN = {
    "real": "real: the bundle holds test rows of its maker's data",
    "synthetic": "synthetic: the bundle holds rows drawn from column statistics, none of the data",
    "none": "none: the bundle holds no rows",
}


@click.command()
@click.argument("model", type=PATH)
@click.argument("data", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="CSV or Parquet file to write.")
@click.option("--keep", help="Input columns to copy as they stand in the data, between commas.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@csv_options
def predict(
    model: Path, data: Path, output: Path, keep: str | None, force: bool, **options: Any
) -> None:
    """Answer for every row of DATA with MODEL: a label and its probabilities, or a number.

    \b
    Example:
      kdexport predict models/clicks/student.onnx new.csv -o answers.csv
    """
    from kdexport.cells import CsvFormat
    from kdexport.errors import DataError, OutputError, one_line
    from kdexport.runtime import open_session
    from kdexport.runtime import predict as predict_table
    from kdexport.signature import listed
    from kdexport.streams import TableFile, answer_file
    from kdexport.tables import names_parquet

    is_csv = output.suffix.lower() in CSV_ENDINGS and output.name != "-"
    if not (is_csv or names_parquet(output)):
        raise OutputError(
            "answers are written into a CSV or Parquet file, by its ending",
            found=repr(str(output)),
            cure="pass -o answers.csv or -o answers.parquet",
        )
    if output.exists() and not force:
        raise OutputError(
            "an output that exists is kept",
            found=f"{str(output)!r} exists",
            cure="pass --force to replace it",
        )
    for source in (model, data):
        if output.exists() and source.exists() and output.samefile(source):
            raise OutputError(
                "what is read is not written over",
                found=f"-o {str(output)!r} is {str(source)!r}",
                cure="pass another -o",
            )
    session = open_session(model)
    given = {name: value for name, value in options.items() if value}
    signature = session.signature
    file = TableFile(data, CsvFormat(**given), signature.categorical, signature.plain_numbers)
    kept = [*dict.fromkeys(name for name in (keep or "").split(",") if name)]
    absent = [name for name in kept if name not in file.names]
    if absent:
        raise DataError(
            "--keep names columns of the data", found=f"no column {absent[0]!r}", cure="check it"
        )
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


@click.command()
@click.argument("model", type=PATH)
@json_option
def info(model: Path, json_path: str | None) -> None:
    """Show what MODEL takes and gives, its size, and its evidence, from the file alone.

    \b
    Example:
      kdexport info models/clicks/student.onnx
    """
    from kdexport.contract import count_parameters, onnx_opset, parse_model
    from kdexport.runtime import read_model
    from kdexport.signature import Signature
    from kdexport.sound import check_confined, check_sound

    content = read_model(model)
    parsed = parse_model(content, model.name)
    check_sound(parsed, model.name)
    check_confined(parsed, model.name, model.resolve().parent)
    metadata = {entry.key: entry.value for entry in parsed.metadata_props}
    signature = Signature.from_metadata(metadata)
    changes, headline = (_read_entry(metadata, name) for name in ("recipe", "evidence"))
    export = changes.get("export")
    golden = export.get("golden", "real") if isinstance(export, dict) else "real"
    facts: dict[str, Any] = {
        "file": model.name,
        "bytes": len(content),
        "parameters": count_parameters(parsed),
        "nodes": len(parsed.graph.node),
        "opset": onnx_opset(parsed),
        "ir_version": parsed.ir_version,
        "inputs": {value.name: _describe(value) for value in parsed.graph.input},
        "outputs": {value.name: _describe(value) for value in parsed.graph.output},
        "numeric": list(signature.numeric),
        "categorical": list(signature.categorical),
        "kinds": signature.kinds,
        "target": signature.target,
        "classes": list(signature.classes),
        "kdexport_version": metadata.get("kdexport.version"),
        "data_sha256": metadata.get("kdexport.data_sha256"),
        "recipe_changes": changes,
        "golden": GOLDEN.get(str(golden), str(golden)),
        "evidence": headline,
    }
    if json_path != "-":
        for key, value in facts.items():
            click.echo(f"{key:17} {dump_json(value).strip(chr(34))}")
    write_json(facts, json_path)


def _read_entry(metadata: dict[str, str], name: str) -> dict[str, Any]:
    """Read a JSON object of a file's metadata; one that is not there is empty."""
    from kdexport.errors import DataError

    try:
        value = json.loads(metadata.get(f"kdexport.{name}", "{}"))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise DataError(
            "a kdexport file carries JSON in its metadata",
            found=f"kdexport.{name} is damaged",
            cure="pass a file that kdexport wrote",
        )
    return value


def _describe(value: Any) -> str:
    import onnx

    tensor = value.type.tensor_type
    sizes = [d.dim_param or str(d.dim_value) for d in tensor.shape.dim]
    return f"{onnx.TensorProto.DataType.Name(tensor.elem_type).lower()} [{', '.join(sizes)}]"
