"""Cross-products ↔ arrays of a file; names and centres are those of the model that they are of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from bimixed.covariance import Array
from bimixed.design import RandomFactor
from bimixed.moments import MomentFactor, Moments
from bimixed.saving.archive import Reader, Writer
from bimixed.saving.columns import Record, pack_index, unpack_index


def pack_moments(writer: Writer, moments: Moments) -> Record:
    """The record of cross-products."""
    return {
        "n": moments.n,
        "log_weights": moments.log_weights,
        "AA": writer.put(moments.AA),
        "plain": writer.put(moments.plain),
        "ZA": [writer.put(block) for block in moments.ZA],
        "ZZ": [[j, k, *_pack_sparse(writer, block)] for (j, k), block in moments.ZZ.items()],
        "factors": [
            {
                "levels": pack_index(writer, f.levels),
                "counts": writer.put(f.counts),
                "plain": writer.put(f.plain),
            }
            for f in moments.factors
        ],
    }


def _pack_sparse(writer: Writer, block: sp.csr_array) -> list[Any]:
    return [writer.put(block.data), writer.put(block.indices), writer.put(block.indptr), list(block.shape)]


def unpack_moments(
    reader: Reader,
    record: Record,
    names: tuple[str, ...],
    outlines: Sequence[RandomFactor],
    centre: Array,
    centres: Sequence[Array],
) -> Moments:
    """The cross-products of a record.

    Parameters
    ----------
    reader, record
    names : tuple of str
        Columns of X, then the response.
    outlines : sequence of RandomFactor
        Key, coefficients and template of each factor; levels are in the record.
    centre, centres
        Of X and the response, and of each factor's covariates.
    """
    factors = tuple(
        MomentFactor(
            key=f.key,
            names=f.names,
            template=f.template,
            levels=unpack_index(reader, kept["levels"]),
            is_mixed=False,
            centre=own,
            counts=reader.get(kept["counts"]),
            plain=reader.get(kept["plain"]),
        )
        for f, own, kept in zip(outlines, centres, record["factors"], strict=True)
    )
    ZZ = {
        (j, k): sp.csr_array((reader.get(data), reader.get(indices), reader.get(indptr)), shape=tuple(shape))
        for j, k, data, indices, indptr, shape in record["ZZ"]
    }
    return Moments(
        names=names,
        n=record["n"],
        log_weights=record["log_weights"],
        centre=np.asarray(centre),
        AA=reader.get(record["AA"]),
        plain=reader.get(record["plain"]),
        factors=factors,
        ZA=tuple(reader.get(block) for block in record["ZA"]),
        ZZ=ZZ,
    )
