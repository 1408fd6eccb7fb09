"""Signatures of whole folders, by OpenSSF model signing with a key pair: offline, no account.

Takes a folder and a key, writes or checks `model.sig` beside its files. The only room that knows
model_signing, which is imported where it is needed.
"""

import ast
import importlib
import json
import re
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdexport.bundle import SIGNATURE
from kdexport.errors import DataError, DependencyError, one_line
from kdexport.evidence.file_checks import listed_plainly
from kdexport.records import CheckResult

CHECK = "signature"
MISMATCH = "Signature mismatch: "  # how model_signing starts what differs, a list of texts
ALTERED = re.compile(r"Hash mismatch for '(.*)': Expected", re.DOTALL)
BASE64_FIELDS = ("payload", "sig")


def sign_files(files: Mapping[str, bytes], key: Path) -> bytes:
    """Return the signature of files as they will lie in a folder.

    Raises:
        DataError: The key cannot be used.
        DependencyError: model-signing is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="kdexport.") as name:
        folder, signature = Path(name) / "signed", Path(name) / SIGNATURE
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        _sign(folder, signature, key)
        return signature.read_bytes()


def sign_folder(folder: Path, key: Path) -> bytes:
    """Return the signature of a folder as it is, a signature in it apart.

    Raises:
        DataError: The key cannot be used.
        DependencyError: model-signing is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="kdexport.") as name:
        signature = Path(name) / SIGNATURE
        _sign(folder, signature, key)
        return signature.read_bytes()


def check_signature(folder: Path, public_key: Path) -> CheckResult:
    """Check that a folder is, byte by byte and file by file, what the key's owner signed.

    Raises:
        DataError: The key cannot be read.
        DependencyError: model-signing is not installed.
    """
    signature = folder / SIGNATURE
    if not signature.is_file():
        message = f"a signed folder has a {SIGNATURE}, however: there is none"
        return CheckResult(f"{folder.name}/{CHECK}", False, message)
    signing = _load("verifying")
    config = _use_key(signing.Config().use_elliptic_key_verifier, public_key=public_key)
    config.set_hashing_config(_hash_everything())
    try:
        _refuse_loose_base64(json.loads(signature.read_bytes()))
        config.verify(folder, signature)
    except Exception as error:  # a damaged signature may raise anything
        rule = "every byte is what the key's owner signed"
        message = one_line(f"{rule}, however: {_describe(error)}")
        return CheckResult(f"{folder.name}/{CHECK}", False, message)
    return CheckResult(f"{folder.name}/{CHECK}", True, f"signed by the owner of {public_key.name}")


def _sign(folder: Path, signature: Path, key: Path) -> None:
    signing = _load("signing")
    config = _use_key(signing.Config().use_elliptic_key_signer, private_key=key)
    config.set_hashing_config(_hash_everything())
    config.sign(folder, signature)


def _describe(error: Exception) -> str:
    """Return in a few words what differs."""
    text = str(error)
    if not text.startswith(MISMATCH):
        return one_line(f"{type(error).__name__}: {text}"[:200]) if text else type(error).__name__
    problems = []
    for said in ast.literal_eval(text.removeprefix(MISMATCH)):
        if altered := ALTERED.match(said):
            problems.append(f"{altered[1]} was altered")
        else:
            what = "was not signed" if said.startswith("Extra") else "is absent"
            problems.append(f"{said.split(': ', 1)[1]} {what}")
    return listed_plainly(problems)


def _refuse_loose_base64(value: object) -> None:
    """Refuse text whose last bits mean nothing: one of its characters could be another."""
    if isinstance(value, list):
        for item in value:
            _refuse_loose_base64(item)
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_loose_base64(item)
            if key in BASE64_FIELDS and b64encode(b64decode(item)).decode() != item:
                raise ValueError(f"{key} is no canonical base64")


def _hash_everything() -> Any:
    """Hash every file but the signature: also those that git would leave out."""
    config = _load("hashing").Config()
    return config.set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _use_key(configure: Any, **key: Path) -> Any:
    (path,) = key.values()
    try:
        return configure(**key)
    except OSError as error:
        raise DataError(
            "a key is a file that can be read",
            found=f"{str(path)!r}: {error.strerror}",
            cure="openssl ecparam -name prime256v1 -genkey -noout makes one",
        ) from error
    except Exception as error:  # whatever the cryptography library makes of the file
        raise DataError(
            "a key is a PEM file of an elliptic curve (prime256v1, secp384r1, secp521r1)",
            found=f"{str(path)!r}: {' '.join(str(error).split())[:120]}",
            cure="openssl ecparam -name prime256v1 -genkey -noout makes one",
        ) from error


def _load(module: str) -> Any:
    try:
        return importlib.import_module(f"model_signing.{module}")
    except ModuleNotFoundError as error:
        raise DependencyError(
            "signatures need the packages of kdexport[sign]",
            found=f"{error.name} is not installed",
            cure="pip install 'kdexport[sign]'",
        ) from error
