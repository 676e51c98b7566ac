"""The container: a zip file with one JSON document and numbered numpy arrays, nothing that can be run."""

import io
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimixed.exceptions import DataError

FORMAT = "bimixed result"
VERSION = 1
"""Of the files written; older ones stay readable, newer ones are refused."""
DOCUMENT = "result.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of every member, so that equal results give equal files."""
DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    OverflowError,
    RuntimeError,
    RecursionError,
    MemoryError,
)
"""What reading arrays and records can raise where their bytes are not those written."""


class Writer:
    """Collects arrays on the way out."""

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []

    def put(self, array: Any) -> dict[str, int]:
        """Keep an array; what is returned stands for it in the document."""
        array = np.asarray(array)
        if array.dtype.kind not in "biufcMmU":
            raise TypeError(f"an array of {array.dtype} is no plain array")
        self.arrays.append(array)
        return {"array": len(self.arrays) - 1}

    def write(self, path: Path, document: Mapping[str, Any]) -> None:
        """Write all of it beside the place and move it there, so that no half a file can be found."""
        whole = {"format": FORMAT, "version": VERSION, **document, "n_arrays": len(self.arrays)}
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            with beside.open("xb") as raw:
                with zipfile.ZipFile(raw, "w") as archive:
                    text = json.dumps(whole, ensure_ascii=False, indent=1)
                    _add(archive, DOCUMENT, text.encode("utf-8"))
                    for i, array in enumerate(self.arrays):
                        buffer = io.BytesIO()
                        np.lib.format.write_array(buffer, array, allow_pickle=False)
                        _add(archive, _member(i), buffer.getvalue())
                raw.flush()
                os.fsync(raw.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content, compresslevel=1)


def _member(number: int) -> str:
    return f"arrays/{number}.npy"


class Reader:
    """The document and the arrays of a file."""

    def __init__(self, document: dict[str, Any], arrays: list[NDArray[Any]]):
        self.document, self.arrays = document, arrays

    def get(self, reference: Mapping[str, int]) -> NDArray[Any]:
        """The array that this stands for."""
        return self.arrays[reference["array"]]

    @classmethod
    def open(cls, path: Path) -> "Reader":
        """Read everything, checksums included.

        Raises
        ------
        DataError
            If the file is none of ours, of a later version, or damaged.
        """
        content = io.BytesIO(path.read_bytes())
        if not zipfile.is_zipfile(content):
            raise DataError(f"{path} is no saved result of bimixed; give a file that fit.save(path) wrote.")
        try:
            with zipfile.ZipFile(content) as archive:
                if DOCUMENT not in archive.namelist():
                    raise DataError(
                        f"{path} is a zip file, but no saved result of bimixed; give a file that "
                        "fit.save(path) wrote."
                    )
                document = json.loads(archive.read(DOCUMENT).decode("utf-8"))
                _check_version(path, document)
                arrays = [
                    np.lib.format.read_array(io.BytesIO(archive.read(_member(i))), allow_pickle=False)
                    for i in range(document["n_arrays"])
                ]
        except DataError:
            raise
        except DAMAGES as error:
            raise damaged(path, error) from error
        return cls(document, arrays)


def _check_version(path: Path, document: Any) -> None:
    if document["format"] != FORMAT:
        raise DataError(f"{path} is no saved result of bimixed but of the format {document['format']!r}.")
    if document["version"] > VERSION:
        raise DataError(
            f"{path} was written by bimixed {document['written_by']} in format {document['version']}; this "
            f"version reads formats up to {VERSION}. Update bimixed."
        )


def damaged(path: Path, error: Exception) -> DataError:
    """The error for content that is not what was written."""
    return DataError(
        f"{path} is damaged ({type(error).__name__}: {error}); take a backup, or fit and save again."
    )
