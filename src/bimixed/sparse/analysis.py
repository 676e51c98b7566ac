"""What the pattern alone decides: the order, the core, and where every entry is stored."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.sparse.ordering import NodeOrder, inverse_order, order_nodes, square_counts

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Analysis:
    """Made once for a pattern; ``analyse`` makes it.

    Patterns are those of lower triangles in the new order, stored by columns: rows sorted, diagonal first,
    the block of each pair of nodes either complete or absent.

    Attributes
    ----------
    order, place : (q,) int arrays
        New position → old column, and old column → new position.
    n_sparse : int
        Columns eliminated one by one; the other q − n_sparse are the dense core.
    node_order : (n,) int array
        New position of a node → node.
    first : (n + 1,) int array
        First column of each node, both in the new order.
    A_starts, A_rows : (q + 1,), (·,) int arrays
        The matrix.
    A_places : (·,) int array
        Place of each of its entries in L, or from column n_sparse on in the core, flattened by columns.
    L_starts, L_rows : (n_sparse + 1,), (·,) int arrays
        The factor's sparse columns; rows from n_sparse on are in the core.
    groups : (n_groups + 1,) int array
        First columns of runs of sparse columns that have the same rows below the run.
    flops : float
        Sum of the sparse columns' squared counts: multiplications of their factorization and selected
        inverse, up to a factor near one.
    nnz : int
        Entries of the filled factor, the core's lower triangle included.
    """

    order: Ints
    place: Ints
    n_sparse: int
    node_order: Ints
    first: Ints
    A_starts: Ints
    A_rows: Rows
    A_places: Ints
    L_starts: Ints
    L_rows: Rows
    groups: Ints
    flops: float
    nnz: int

    @property
    def n_columns(self) -> int:
        """q."""
        return len(self.order)

    @property
    def n_core(self) -> int:
        """Columns of the dense core."""
        return self.n_columns - self.n_sparse

    @cached_property
    def _keys(self) -> Ints:
        """Column · q + row of each entry of A, ascending."""
        columns = np.repeat(np.arange(self.n_columns), np.diff(self.A_starts))
        return columns * self.n_columns + self.A_rows

    def find(self, rows: Ints, columns: Ints) -> Ints:
        """Where entries of either triangle stand on A's pattern, −1 off it; rows and columns are old."""
        i, j = self.place[rows], self.place[columns]
        keys = np.minimum(i, j) * self.n_columns + np.maximum(i, j)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, at, -1)

    def split(self, values: Array) -> tuple[Array, Array]:
        """Values on A's pattern, put on L's pattern and into the core, (n_core, n_core) by columns."""
        border = self.A_starts[self.n_sparse]
        sparse = np.zeros(len(self.L_rows))
        sparse[self.A_places[:border]] = values[:border]
        core = np.zeros(self.n_core**2)
        core[self.A_places[border:]] = values[border:]
        return sparse, core.reshape(self.n_core, self.n_core)


def analyse(pattern: sp.csr_array, sizes: Ints) -> Analysis:
    """Choose the order and the core, and lay out the factor.

    Parameters
    ----------
    pattern : (n, n) sparse array
        Which *nodes* have a common entry: symmetric, both triangles; values don't count, nor does the
        diagonal, which is always there.
    sizes : (n,) int array
        Columns of each node, at least 1; q is their sum.

    Raises
    ------
    ValueError
        If the pattern isn't square, fits the sizes badly or isn't symmetric.
    """
    sizes = np.ascontiguousarray(sizes, dtype=np.intp)
    starts, neighbours = _graph(pattern, sizes)
    nodes = order_nodes(starts, neighbours, sizes)
    first = _edges(sizes[nodes.order])
    n_sparse, n_core = int(first[nodes.n_sparse]), int(first[-1] - first[nodes.n_sparse])
    counts = nodes.counts[: nodes.n_sparse]
    A_starts, A_rows = _fill(
        starts, neighbours, nodes, first, _matrix_counts(starts, neighbours, nodes, sizes), climb=False
    )
    L_starts, L_rows = _fill(starts, neighbours, nodes, first, counts, climb=True)
    order = _expand(nodes.order, sizes)
    return Analysis(
        order=order,
        place=inverse_order(order),
        n_sparse=n_sparse,
        node_order=nodes.order,
        first=first,
        A_starts=A_starts,
        A_rows=A_rows,
        A_places=_places(A_starts, A_rows, L_starts, L_rows),
        L_starts=L_starts,
        L_rows=L_rows,
        groups=_groups(L_starts, L_rows),
        flops=float(square_counts(sizes[nodes.order[: nodes.n_sparse]], counts).sum()),
        nnz=len(L_rows) + n_core * (n_core + 1) // 2,
    )


def _fill(
    starts: Ints, neighbours: Ints, nodes: NodeOrder, first: Ints, counts: Ints, climb: bool
) -> tuple[Ints, Rows]:
    """Column starts and rows of the first nodes' columns, as many as there are counts."""
    from bimixed.sparse.kernels import pattern as kernels

    n = len(counts)
    own = np.diff(first[: n + 1])
    within = np.arange(first[n]) - np.repeat(first[:n], own)
    column_starts = _edges(np.repeat(counts, own) - within)
    rows = np.empty(column_starts[-1], dtype=np.int32)
    kernels.fill_rows(
        starts, neighbours, nodes.order, nodes.place, nodes.parent, first, n, climb, column_starts, rows
    )
    return column_starts, rows


def _places(A_starts: Ints, A_rows: Rows, L_starts: Ints, L_rows: Rows) -> Ints:
    """Place of A's entries in L, and in the core by columns."""
    from bimixed.sparse.kernels import pattern as kernels

    n_sparse = len(L_starts) - 1
    n_core = len(A_starts) - 1 - n_sparse
    places = np.empty(len(A_rows), dtype=np.intp)
    kernels.places_within(A_starts, A_rows, L_starts, L_rows, n_sparse, places)
    border = A_starts[n_sparse]
    column = np.repeat(np.arange(n_core), np.diff(A_starts[n_sparse:]))
    places[border:] = column * n_core + (A_rows[border:] - n_sparse)
    return places


def _graph(pattern: sp.csr_array, sizes: Ints) -> tuple[Ints, Ints]:
    """The pattern's edges without the diagonal, both directions, sorted."""
    if pattern.shape != (len(sizes), len(sizes)):
        raise ValueError(f"a pattern of shape {pattern.shape} doesn't fit {len(sizes)} nodes")
    if len(sizes) and sizes.min() < 1:
        raise ValueError("each node needs at least one column")
    if sizes.sum() > np.iinfo(np.int32).max:
        raise ValueError(f"{sizes.sum()} columns are more than a 32-bit row number can hold")
    coo = sp.coo_array(pattern)
    row, column = coo.coords
    off = row != column
    ones = np.ones(int(off.sum()), dtype=np.int8)
    graph = sp.csr_array((ones, (row[off], column[off])), shape=pattern.shape)
    graph.sum_duplicates()
    turned = graph.T.tocsr()
    turned.sort_indices()
    same = np.array_equal(graph.indptr, turned.indptr) and np.array_equal(graph.indices, turned.indices)
    if not same:
        raise ValueError("the pattern isn't symmetric; give both triangles")
    return graph.indptr.astype(np.intp), graph.indices.astype(np.intp)


def _edges(lengths: Ints) -> Ints:
    """Where consecutive runs start, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)


def _expand(node_order: Ints, sizes: Ints) -> Ints:
    """Old columns of the nodes, in the nodes' order."""
    old_first = _edges(sizes)[node_order]
    own = sizes[node_order]
    within = np.arange(own.sum()) - np.repeat(_edges(own)[:-1], own)
    return np.repeat(old_first, own) + within


def _matrix_counts(starts: Ints, neighbours: Ints, nodes: NodeOrder, sizes: Ints) -> Ints:
    """Columns in each position's column of the matrix's lower triangle, its own included."""
    n = len(sizes)
    column = np.repeat(nodes.place, np.diff(starts))  # place of each edge's start
    below = nodes.place[neighbours] > column
    counts = np.bincount(column[below], weights=sizes[neighbours[below]], minlength=n)
    return counts.astype(np.intp) + sizes[nodes.order]


def _groups(starts: Ints, rows: Rows) -> Ints:
    """Borders of runs of columns in which each has the rows of the one before, less that one's own."""
    n = len(starts) - 1
    if n == 0:
        return np.zeros(1, dtype=np.intp)
    counts = np.diff(starts)
    long = np.flatnonzero((counts[:-1] > 1) & (counts[1:] == counts[:-1] - 1))
    joined = np.zeros(n, dtype=np.bool_)
    joined[long + 1] = rows[starts[long] + 1] == long + 1
    return np.append(np.flatnonzero(~joined), n).astype(np.intp)
