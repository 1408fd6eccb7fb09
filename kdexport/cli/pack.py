"""`pack`: bundles for servers and runtimes. It needs no torch."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from kdexport.cli.options import PATH
from kdexport.cli.outputs import (
    OUTPUT,
    GuardedCommand,
    json_option,
    refuse_unwritable,
    write_json,
)
from kdexport.deploy.targets import SUMMARIES


def target_options(command: Any) -> Any:
    """Add one option per target."""
    for name, text in reversed(SUMMARIES.items()):
        command = click.option(f"--{name}", type=OUTPUT, metavar="DIR", help=text)(command)
    return command


@click.command(cls=GuardedCommand)
@click.argument("bundle", type=PATH)
@target_options
@click.option(
    "--model",
    type=click.Choice(["student", "teacher", "rival"]),
    default="student",
    help="The bundle's file to pack; the student by default.",
)
@click.option("--name", help="What servers call it; the bundle's folder by default.")
@click.option("--target-ort", metavar="X.Y", help="Release of onnxruntime that has to read it.")
@click.option("--core-operators", is_flag=True, help="Do without ai.onnx.ml: OpenVINO, TensorRT.")
@click.option("--split-text", is_flag=True, help="Keep texts outside: the file takes codes.")
@click.option("--sign", "key", type=PATH, metavar="KEY", help="Sign with this private key (PEM).")
@click.option("--force", is_flag=True, help="Replace packs; pack a bundle that fails its check.")
@json_option
def pack(
    bundle: Path,
    model: str,
    name: str | None,
    target_ort: str | None,
    core_operators: bool,
    split_text: bool,
    key: Path | None,
    force: bool,
    json_path: str | None,
    **targets: Path | None,
) -> None:
    """Pack a BUNDLE for servers and runtimes.

    A pack has the model, the target's own code, golden requests and hashes. Without a target,
    --sign signs the bundle itself. Exit code 1: the bundle fails its check and --force is not
    given.

    \b
    Example:
      kdexport pack models/clicks --triton repository --target-ort 1.14
    """
    named = {str(target): target for target in SUMMARIES}
    outputs = {named[flag]: path for flag, path in targets.items() if path is not None}
    if not outputs and key is None:
        raise click.UsageError(f"pass at least one of {', '.join(f'--{t}' for t in SUMMARIES)}")

    ignored = {
        "--model": model != "student",
        "--name": name is not None,
        "--target-ort": target_ort is not None,
        "--core-operators": core_operators,
        "--split-text": split_text,
    }
    if not outputs and any(ignored.values()):
        flag = next(flag for flag, is_given in ignored.items() if is_given)
        raise click.UsageError(f"{flag} is of packs: pass a target; --sign alone signs the bundle")

    from kdexport.deploy.model import Form, prepare_model
    from kdexport.deploy.packs import check_before_packing, plan_folders, write_packs

    form, name = Form(target_ort, core_operators, split_text), name or bundle.resolve().name
    _ = form.release  # what is refused without a look at the bundle is refused first
    folders = plan_folders(outputs, name=name, force=force)
    for folder in folders.values() or (None,):
        refuse_unwritable(json_path, output=folder)
    loaded, failed = check_before_packing(bundle)
    for result in failed:
        click.echo(f"failed: {result.name}: {result.message}", err=True)
    if failed and not force:
        click.echo(f"{len(failed)} checks failed: nothing was packed", err=True)
        raise click.exceptions.Exit(1)
    if not outputs and key is not None:
        signature = _sign_bundle(bundle, key)
        click.echo(f"signed: {signature}", err=json_path == "-")
        write_json({"signature": str(signature)}, json_path)
        return
    packable = prepare_model(loaded, f"{model}.onnx", form, name=name, passed_check=not failed)
    packs = write_packs(packable, folders, key=key, force=force)
    for written in packs:
        size = f"{written.n_files} files, {written.n_bytes:,} bytes"
        click.echo(f"{written.target:7} {written.path}: {size}", err=json_path == "-")
    write_json([{**asdict(p), "path": str(p.path)} for p in packs], json_path)


def _sign_bundle(bundle: Path, key: Path) -> Path:
    from kdexport.bundle import SIGNATURE, replace_files
    from kdexport.deploy.signing import sign_folder

    replace_files(bundle, {SIGNATURE: sign_folder(bundle, key)})
    return bundle / SIGNATURE
