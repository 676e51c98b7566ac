"""Sums of finished pieces in a folder, so that a run that stopped goes on where it was."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bimixed._version import __version__
from bimixed.exceptions import DataError
from bimixed.saving.archive import Reader, Writer
from bimixed.saving.moments import pack_moments, unpack_moments
from bimixed.streaming.counting import Counts
from bimixed.streaming.digests import digest
from bimixed.streaming.encoder import RowEncoder
from bimixed.streaming.progress import PassProgress

Sums = tuple[Any, Counts]


@dataclass(frozen=True)
class Checkpoint:
    """The folder, and which model its sums are of.

    Attributes
    ----------
    folder : Path or None
    model : str
        Changes with the formula, the categories and everything else that sums depend on.
    encoder : RowEncoder
    """

    folder: Path | None
    model: str
    encoder: RowEncoder

    @staticmethod
    def of(folder: str | os.PathLike[str] | None, encoder: RowEncoder) -> "Checkpoint":
        """Of a folder, which is made if it isn't there.

        Raises
        ------
        DataError
            Where it can't be made.
        """
        if folder is None:
            return Checkpoint(None, "", encoder)
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"checkpoint {path} can't be made: {error}. Name a folder that can be written to."
            ) from error
        return Checkpoint(path, fingerprint(encoder), encoder)

    @contextmanager
    def interrupted(self, told: PassProgress) -> Iterator[None]:
        """Tell with an interrupt what is kept."""
        try:
            yield
        except KeyboardInterrupt as stop:
            if self.folder is not None:
                stop.add_note(
                    f"The sums of {told.pieces} of {told.n_pieces} pieces are kept in {self.folder}: the "
                    "same line goes on after them."
                )
            raise

    def _file(self, piece: Any) -> Path | None:
        if self.folder is None or not piece.identity:
            return None
        name = hashlib.sha256(f"{self.model} {piece.identity}".encode()).hexdigest()[:24]
        return self.folder / f"{name}.sums"

    def read(self, piece: Any) -> Sums | None:
        """The sums of a piece, if an earlier run finished it."""
        path = self._file(piece)
        if path is None or not path.exists():
            return None
        try:
            reader = Reader.open(path)
        except DataError as error:
            raise DataError(
                f"{path} in the checkpoint is damaged. Delete it, and the sums of {piece.name} are made "
                "again."
            ) from error
        return unpack_sums(reader, reader.document["sums"], self.encoder)

    def write(self, piece: Any, sums: Sums) -> None:
        """Keep the sums of a piece.

        Raises
        ------
        DataError
            Where the disk is full.
        """
        path = self._file(piece)
        if path is None:
            return
        writer = Writer()
        document = {"sums": pack_sums(writer, sums)}
        try:
            writer.write(path, document)
        except OSError as error:
            raise DataError(
                f"The sums of {piece.name} couldn't be written to checkpoint {self.folder}: {error}. Make "
                "room there; the run goes on after the pieces that are done."
            ) from error


def fingerprint(encoder: RowEncoder) -> str:
    """What sums depend on beside the rows, as a short text."""
    told = [
        repr(encoder.columns),
        repr(encoder.names),
        encoder.na_action,
        repr(encoder.weights_column),
        repr(encoder.offset_column),
        repr(encoder.centre.tolist()),
        repr([own.tolist() for own in encoder.centres]),
        repr([(own.group, own.outline.names, own.outline.template) for own in encoder.factors]),
    ]
    used: dict[str, None] = {}
    for name, part in encoder.parts.items():
        state = getattr(part.spec, "transform_state", None)
        values = np.ascontiguousarray(part.values)  # of the first rows, with every category
        told += [name, part.part.text, repr(state), repr(part.names), digest(values)]
        used |= dict.fromkeys(re.findall(r"\w+", part.part.text))
    for own in encoder.factors:
        used |= dict.fromkeys(re.findall(r"\w+", " ".join(own.group)))
    told += [f"{name} {digest(encoder.context[name])}" for name in used if name in encoder.context]
    told.append(__version__)
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def pack_sums(writer: Writer, sums: Sums) -> dict[str, Any]:
    """The record of sums."""
    moments, counts = sums
    return {"counts": asdict(counts), "moments": None if moments is None else pack_moments(writer, moments)}


def unpack_sums(reader: Reader, record: dict[str, Any], encoder: RowEncoder) -> Sums:
    """The sums of a record."""
    counts = Counts(**record["counts"])
    own = record["moments"]
    if own is None:
        return None, counts
    outlines = [f.outline for f in encoder.factors]
    return unpack_moments(reader, own, encoder.names, outlines, encoder.centre, encoder.centres), counts
