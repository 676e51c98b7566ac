"""Arrays in one buffer, as samplers hand them to a C function, and the types of such functions."""

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.marginal.kernels.given import Fixed
from bimixed.marginal.kernels.parameters import Parameters

Ints = NDArray[np.int64]

HEADER = 5
"""Numbers that describe an array in the head of a buffer: first place and up to four sizes."""
NUMBER, POINTER, VOID = types.uint64, types.CPointer(types.double), types.voidptr
LOGP = types.int64(NUMBER, POINTER, POINTER, POINTER, VOID)
EXPAND = types.int64(NUMBER, NUMBER, POINTER, POINTER, VOID)


def pack(parts: Sequence[Sequence[Any]]) -> Array:
    """All arrays in one buffer, integers as they are; the first number is its length."""
    arrays = [np.ascontiguousarray(a) for part in parts for a in part]
    head = np.zeros(1 + HEADER * len(arrays), dtype=np.int64)
    at = len(head)
    for i, a in enumerate(arrays):
        head[1 + HEADER * i : 2 + HEADER * i + a.ndim] = (at, *a.shape)
        at += a.size
    head[0] = at
    flat = [head.view(np.float64)]
    for a in arrays:
        whole = a.astype(np.int64) if a.dtype.kind == "i" else a.astype(np.float64)
        flat.append(whole.ravel().view(np.float64))
    return np.concatenate(flat)


@numba.njit(cache=True, nogil=True, inline="always")
def one(buffer: Any, head: Ints, i: int) -> Any:
    """Array i of a buffer."""
    at = head[1 + HEADER * i]
    return buffer[at : at + head[2 + HEADER * i]]


@numba.njit(cache=True, nogil=True, inline="always")
def two(buffer: Any, head: Ints, i: int) -> Any:
    """Array i of a buffer, a matrix."""
    at, m, n = head[1 + HEADER * i], head[2 + HEADER * i], head[3 + HEADER * i]
    return buffer[at : at + m * n].reshape((m, n))


@numba.njit(cache=True, nogil=True, inline="always")
def three(buffer: Any, head: Ints, i: int) -> Any:
    """Array i of a buffer, with three axes."""
    at, m, n, o = head[1 + HEADER * i], head[2 + HEADER * i], head[3 + HEADER * i], head[4 + HEADER * i]
    return buffer[at : at + m * n * o].reshape((m, n, o))


@numba.njit(cache=True, nogil=True, inline="always")
def four(buffer: Any, head: Ints, i: int) -> Any:
    """Array i of a buffer, with four axes."""
    at = head[1 + HEADER * i]
    k, m, n, o = head[2 + HEADER * i], head[3 + HEADER * i], head[4 + HEADER * i], head[5 + HEADER * i]
    return buffer[at : at + k * m * n * o].reshape((k, m, n, o))


@numba.njit(cache=True, nogil=True)
def fixed_and_parameters(x: Array, n: Ints, i: int) -> tuple[Fixed, Parameters]:
    """Those whose arrays begin with number i; the buffer is seen as floats and as integers."""
    fixed = Fixed(two(x, n, i), one(x, n, i + 1), one(x, n, i + 2))
    i += 3
    parameters = Parameters(
        one(n, n, i),
        two(n, n, i + 1),
        one(n, n, i + 2),
        two(x, n, i + 3),
        three(x, n, i + 4),
        one(x, n, i + 5),
        one(x, n, i + 6),
        two(x, n, i + 7),
    )
    return fixed, parameters


@numba.njit(cache=True, nogil=True)
def status(value: float, slope: Array, failed: float) -> int:
    """0 where value and slope are finite."""
    if not value > failed:
        return 4
    for i in range(len(slope)):
        if not np.isfinite(slope[i]):
            return 3
    return 0


@numba.cfunc(EXPAND, cache=True)
def expand(dim, expanded, at, out, buffer):  # type: ignore[no-untyped-def]
    """The coordinates themselves are what is kept."""
    w, kept = numba.carray(at, (dim,)), numba.carray(out, (expanded,))
    for i in range(len(w)):
        kept[i] = w[i]
    return 0
