"""Second-order quantities of the variances: what Kenward-Roger's and Satterthwaite's formulas need.

With V in units of σ², V = Σ τ_i V_i, the parameters τ are the entries of each H and, last, 1 for the
residual; V_i = Z Ġ_i Z' with Ġ_i the same for all levels of a factor, and W⁻¹ for the residual. Traces
of V⁻¹V_iV⁻¹V_j are squared norms of the blocks of Z'V⁻¹Z: those of one factor are one for each level.
With more factors the one with most effects is eliminated first; what it leaves is a dense matrix of the
other effects, S, and

    Z₁'V⁻¹Z₁ = B − C K C',   Z₁'V⁻¹Z₂ = C F,   Z₂'V⁻¹Z₂ = S F,   F = (I + H₂S)⁻¹,   K = F H₂,

with B block-diagonal and C sparse, so that nothing larger than S is made. Rows of the residual follow from
V = Σ τ_i V_i.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bimixed import dense
from bimixed.covariance import Array, CovarianceTemplate
from bimixed.crossproducts import ChainFactor, CrossProducts
from bimixed.exceptions import UnavailableError
from bimixed.likelihood.objective import Evaluation, Gradient, cross_times

WIDEST = 6000
"""Effects beside those of the largest factor up to which their matrix is made."""
CHUNK = 4_000_000
"""Numbers in the largest temporary."""


@dataclass(frozen=True)
class SecondOrder:
    """All of it at one θ; m entries of the H by place, and the residual.

    Attributes
    ----------
    tau : (m + 1,) array
    fixef : (p, p) array
        Φ = (X'V⁻¹X)⁻¹, X being the orthogonal basis.
    P : (m + 1, p, p) array
        −X'V⁻¹V_iV⁻¹X.
    Q : (m + 1, m + 1, p, p) array
        X'V⁻¹V_iV⁻¹V_jV⁻¹X.
    traces : (m + 1, m + 1) array
        tr V⁻¹V_iV⁻¹V_j.
    observed : (m + 1, m + 1) array
        y'PV_iPV_jPy / σ², P = V⁻¹ − V⁻¹XΦX'V⁻¹.
    """

    tau: Array
    fixef: Array
    P: Array
    Q: Array
    traces: Array
    observed: Array

    @property
    def projected_traces(self) -> Array:
        """tr PV_iPV_j, (m + 1, m + 1): twice REML's expected information on τ."""
        half = self.fixef @ self.P
        return np.asarray(
            self.traces
            - 2.0 * np.einsum("ab,ijba->ij", self.fixef, self.Q)
            + np.einsum("iab,jba->ij", half, half)
        )


def second_order(cp: CrossProducts, at: Evaluation, slopes: Gradient, reml: bool) -> SecondOrder:
    """At an evaluated θ.

    Raises
    ------
    UnavailableError
        Where the model is too wide for it.
    """
    check_width(cp)
    T, p = at.factorization.T, cp.p
    tau = np.concatenate([_entries(t, own @ own.T) for t, own in zip(cp.templates, T, strict=True)])
    # [Z'V⁻¹X  Z'Py] by place
    E = [
        np.concatenate([scores[:, :, :p], e[:, :, None]], axis=2)
        for scores, e in zip(slopes.scores, slopes.residual_scores, strict=True)
    ]
    fixef = dense.solve_with(at.root, np.eye(p))
    # Step 1: [X Py]'V⁻¹V_iV⁻¹[X Py], and with V_iV⁻¹V_j in the middle
    once = np.concatenate([_moved_products(t, own) for t, own in zip(cp.templates, E, strict=True)])
    twice = _twice_moved_products(cp, at, E, len(tau))
    # Step 2: traces of V⁻¹V_i and V⁻¹V_iV⁻¹V_j
    single = np.concatenate(
        [
            _entries(t, slopes.inverse.gamma[place]) * np.where(t.is_diagonal, 1.0, 2.0)
            for place, t in enumerate(cp.templates)
        ]
    )
    traces = _traces(cp, T)
    # Step 3: the residual's rows
    P = _with_total(-once[:, :p, :p], -dense.gram(at.root.T), tau)
    Q = _bordered(twice[:, :, :p, :p], -P[:-1], -_total(P, tau), tau)
    links = once[:, :p, p]
    observed = twice[:, :, p, p] - links @ fixef @ links.T
    r2 = at.sigma2 * cp.df(reml)
    return SecondOrder(
        tau=np.append(tau, 1.0),
        fixef=fixef,
        P=P,
        Q=Q,
        traces=_bordered(traces, single, float(cp.n), tau),
        observed=_bordered(observed, once[:, p, p], r2, tau) / at.sigma2,
    )


def check_width(cp: CrossProducts) -> None:
    """Refuse what is too wide.

    Raises
    ------
    UnavailableError
    """
    if cp.basis.absorbed is not None:
        raise UnavailableError(
            "Degrees of freedom aren't computed beside a fixed factor of so many levels that it is "
            "eliminated like a random one; ask for ddf='normal' or ddf='residual'."
        )
    width = cp.width + sum(f.n_levels * f.template.size for f in cp.chain[1:])
    if width > WIDEST:
        raise UnavailableError(
            f"{width} random effects beside those of the largest group are too many for degrees of freedom "
            f"by expected information (up to {WIDEST}); ask for ddf='normal', which is no different with so "
            "many levels unless a group has few."
        )


def _entries(template: CovarianceTemplate, H: Array) -> Array:
    """The parameters of one factor among the entries of a (K, K) matrix."""
    rows, cols = template.positions
    return np.asarray(H[rows, cols])


def _with_total(inner: Array, total: Array, tau: Array) -> Array:
    """Rows (m, ...), and as a last one what is missing from Σ τ_i row_i to the total."""
    return np.concatenate([inner, (total - np.tensordot(tau, inner, 1))[None]])


def _total(rows: Array, tau: Array) -> Array:
    return np.asarray(np.tensordot(tau, rows[:-1], 1) + rows[-1])


def _bordered(inner: Array, once: Array, total: Array | float, tau: Array) -> Array:
    """(m, m, ...) with the residual's row and column, from Σ_j τ_j entry_ij = once_i, Σ_i τ_i once_i = total.

    An entry (j, i) is the transpose of (i, j).
    """
    m = len(tau)
    out = np.empty((m + 1, m + 1, *inner.shape[2:]))
    out[:m, :m] = inner
    out[:m, m] = (
        once - np.tensordot(inner, tau, (1, 0))
        if inner.ndim == 2
        else once - np.einsum("ijab,j->iab", inner, tau)
    )
    out[m, :m] = np.swapaxes(out[:m, m], -1, -2) if inner.ndim == 4 else out[:m, m]
    residual = total - np.tensordot(tau, once, 1)
    out[m, m] = residual - np.tensordot(tau, out[m, :m], 1)
    return out


def _moved_products(template: CovarianceTemplate, E: Array) -> Array:
    """Σ over levels of E'Ġ_iE, (m, r, r), for E (L, K, r)."""
    out = []
    for r, c in zip(*template.positions, strict=True):
        if r == c:
            out.append(dense.gram(np.ascontiguousarray(E[:, r])))
        else:
            half = dense.product(np.ascontiguousarray(E[:, r].T), np.ascontiguousarray(E[:, c]))
            out.append(half + half.T)
    return np.array(out)


def _twice_moved_products(cp: CrossProducts, at: Evaluation, E: list[Array], m: int) -> Array:
    """[X Py]'V⁻¹V_iV⁻¹V_jV⁻¹[X Py], (m, m, p + 1, p + 1)."""
    blocks, start, r = [], 0, cp.p + 1
    for template, own in zip(cp.templates, E, strict=True):
        block = np.zeros((*own.shape[:2], m, r))
        for i, (a, b) in enumerate(zip(*template.positions, strict=True)):
            block[:, a, start + i] = own[:, b]
            block[:, b, start + i] = own[:, a]
        start += template.n_theta
        blocks.append(block.reshape(*own.shape[:2], m * r))
    chain, trailing = cross_times(cp, blocks)
    solution = at.factorization.solve(chain, trailing)
    products = np.zeros((m * r, m * r))
    for f, c in zip(cp.chain, chain, strict=True):
        products += dense.product(_flat(blocks[f.place]).T, _flat(c))
    for t in cp.trailing:
        products += dense.product(_flat(blocks[t.place]).T, trailing[t.columns])
    found = products - solution.quadratic
    return (0.5 * (found + found.T)).reshape(m, r, m, r).transpose(0, 2, 1, 3)


def _flat(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


# --- traces of V⁻¹V_iV⁻¹V_j -------------------------------------------------------------------


def _traces(cp: CrossProducts, T: Sequence[Array]) -> Array:
    """(m, m), by place."""
    starts = np.cumsum([0, *(t.n_theta for t in cp.templates)])
    out = np.zeros((starts[-1], starts[-1]))
    if not cp.chain:
        _Rest.of(cp, T).fill(out, starts)
        return out
    first = cp.chain[0]
    own = slice(starts[first.place], starts[first.place + 1])
    A, H = first.A, T[first.place] @ T[first.place].T
    solver = np.linalg.inv(np.eye(len(H)) + A @ H)  # (I + A H)⁻¹, by level
    B = solver @ A
    B = 0.5 * (B + B.mT)
    out[own, own] = _fourfold(first.template, first.template, _products(B, B))
    if len(cp.chain) == 1 and not cp.width:
        return out
    rest = _Rest.of(cp, T, solver)
    rest.fill(out, starts)
    C = _sparse_rows(solver, rest.coupling)
    G = [_moved_gram(C, r, c) for r, c in zip(*first.template.positions, strict=True)]
    KG = [dense.product(rest.K, own_G) for own_G in G]
    D = _diagonal_blocks(C, rest.K)
    mixed = _fourfold(first.template, first.template, _products(B, D))
    out[own, own] -= mixed + mixed.T
    out[own, own] += np.array([[np.sum(a * b.T) for b in KG] for a in KG])
    for factor in rest.factors:
        there = slice(starts[factor.place], starts[factor.place + 1])
        moved = [rest.moved(factor, r, c) for r, c in zip(*factor.template.positions, strict=True)]
        out[own, there] = np.array([[np.sum(g * h) for h in moved] for g in G])
        out[there, own] = out[own, there].T
    return out


def _products(left: Array, right: Array) -> Array:
    """Σ over levels of left[a, b] right[c, d], for (L, K, K) each."""
    K, J = left.shape[1], right.shape[1]
    flat = dense.product(
        np.ascontiguousarray(left.reshape(len(left), -1).T),
        np.ascontiguousarray(right.reshape(len(right), -1)),
    )
    return flat.reshape(K, K, J, J)


def _fourfold(left: CovarianceTemplate, right: CovarianceTemplate, sums: Array) -> Array:
    """Σ over levels of tr S Ġ_i S' Ġ_j, (m, m'), from sums[a, b, c, d] of S_ab S'_cd."""
    out = np.zeros((left.n_theta, right.n_theta))
    for i, (r, c) in enumerate(zip(*left.positions, strict=True)):
        for j, (q, s) in enumerate(zip(*right.positions, strict=True)):
            # tr S e_a e_b' S' e_x e_y' = S_ya S'_bx
            out[i, j] = sum(sums[y, a, b, x] for a, b in {(r, c), (c, r)} for x, y in {(q, s), (s, q)})
    return out


@dataclass(frozen=True)
class _Columns:
    """Where a factor's effects stand in the rest, level by level."""

    place: int
    template: CovarianceTemplate
    start: int
    n_levels: int

    @property
    def all(self) -> slice:
        return slice(self.start, self.start + self.n_levels * self.template.size)

    def of(self, coefficient: int) -> slice:
        """Columns of one coefficient."""
        return slice(self.start + coefficient, self.all.stop, self.template.size)


@dataclass(frozen=True)
class _Rest:
    """The other factors when the first one is eliminated, r effects.

    Attributes
    ----------
    factors : list of _Columns
    coupling : list of (L, r) sparse arrays
        Z₁'WZ₂ of the first factor's coefficients.
    S, F, K : (r, r) arrays
    """

    factors: list[_Columns]
    coupling: list[sp.csr_array]
    S: Array
    F: Array
    K: Array

    @staticmethod
    def of(cp: CrossProducts, T: Sequence[Array], solver: Array | None = None) -> "_Rest":
        """``solver`` is (I + AH)⁻¹ of the first factor, by level, where there is a chain."""
        factors, start = [], 0
        for inner in cp.chain[1:]:
            factors.append(_Columns(inner.place, inner.template, start, inner.n_levels))
            start = factors[-1].all.stop
        shift = start
        factors += [_Columns(t.place, t.template, shift + t.start, t.n_levels) for t in cp.trailing]
        S = _products_of_rest(cp, factors, shift)
        coupling: list[sp.csr_array] = []
        if solver is not None:
            first = cp.chain[0]
            coupling = _couplings(first, factors, shift, S.shape[0])
            H = T[first.place] @ T[first.place].T
            moved = _sparse_rows(H @ solver, coupling)
            S = S - np.asarray(sum(a.T @ b for a, b in zip(coupling, moved, strict=True)).toarray())
        S = 0.5 * (S + S.T)
        HS, H2 = S.copy(), np.zeros(S.shape)
        for f in factors:
            H = T[f.place] @ T[f.place].T
            HS[f.all] = (H @ S[f.all].reshape(f.n_levels, f.template.size, -1)).reshape(-1, len(S))
            for a in range(f.template.size):
                for b in range(f.template.size):
                    np.fill_diagonal(H2[f.of(a), f.of(b)], H[a, b])
        F = np.linalg.inv(np.eye(len(S)) + HS)
        K = dense.product(F, H2)
        return _Rest(factors, coupling, S, F, 0.5 * (K + K.T))

    def fill(self, out: Array, starts: Array) -> None:
        """Traces of the rest with itself."""
        S = dense.product(self.S, self.F)
        for left in self.factors:
            for right in self.factors:
                here = np.ix_(
                    range(*starts[left.place : left.place + 2]), range(*starts[right.place : right.place + 2])
                )
                out[here] = _level_pairs(S, left, right)

    def moved(self, factor: _Columns, r: int, c: int) -> Array:
        """F Ġ F' of one entry."""
        half = dense.product(
            np.ascontiguousarray(self.F[:, factor.of(r)]), np.ascontiguousarray(self.F[:, factor.of(c)].T)
        )
        return half if r == c else half + half.T


def _level_pairs(S: Array, left: _Columns, right: _Columns) -> Array:
    """tr Ġ_i S_kl Ġ_j S_lk."""
    out = np.zeros((left.template.n_theta, right.template.n_theta))
    for i, (r, c) in enumerate(zip(*left.template.positions, strict=True)):
        for j, (q, s) in enumerate(zip(*right.template.positions, strict=True)):
            # tr e_a e_b' S e_x e_y' S' = S_bx S_ay
            out[i, j] = sum(
                np.sum(S[left.of(b), right.of(x)] * S[left.of(a), right.of(y)])
                for a, b in {(r, c), (c, r)}
                for x, y in {(q, s), (s, q)}
            )
    return out


def _products_of_rest(cp: CrossProducts, factors: Sequence[_Columns], shift: int) -> Array:
    """Z₂'WZ₂."""
    size = factors[-1].all.stop
    S = np.zeros((size, size))
    S[shift:, shift:] = cp.S if isinstance(cp.S, np.ndarray) else cp.S.toarray()
    for j, inner in enumerate(cp.chain[1:]):
        own, levels = factors[j], np.arange(inner.n_levels)
        for a in range(own.template.size):
            for b in range(own.template.size):
                S[own.of(a), own.of(b)][levels, levels] = inner.A[:, a, b]
        for a, row in enumerate(_couplings(inner, factors[j + 1 :], shift, size)):
            S[own.of(a)] += row.toarray()
            S[:, own.of(a)] += row.T.toarray()
    return S


def _couplings(f: ChainFactor, later: Sequence[_Columns], shift: int, size: int) -> list[sp.csr_array]:
    """Z_f'WZ with later chain factors and the trailing part, (L, size) for each coefficient of f."""
    levels, out = np.arange(f.n_levels), []
    for a in range(f.template.size):
        rows, columns, values = [f.pairs.rows], [shift + f.pairs.columns], [f.C[:, a]]
        for parent, N, columns_of in zip(f.parents, f.N, later, strict=False):
            for b in range(columns_of.template.size):
                rows.append(levels)
                columns.append(columns_of.start + parent * columns_of.template.size + b)
                values.append(N[:, a, b])
        entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
        out.append(sp.csr_array(entries, shape=(f.n_levels, size)))
    return out


def _sparse_rows(blocks: Array, coupling: Sequence[sp.csr_array]) -> list[sp.csr_array]:
    """Each level's block (K, K) times its rows."""
    return [
        sp.csr_array(sum(sp.diags_array(blocks[:, a, b]) @ rows for b, rows in enumerate(coupling)))
        for a in range(len(coupling))
    ]


def _moved_gram(C: Sequence[sp.csr_array], r: int, c: int) -> Array:
    """C'Ġ C of one entry."""
    half = np.asarray((C[r].T @ C[c]).toarray())
    return half if r == c else half + half.T


def _diagonal_blocks(C: Sequence[sp.csr_array], K: Array) -> Array:
    """C K C' of each level, (L, K, K)."""
    L, size = C[0].shape[0], len(C)
    out = np.empty((L, size, size))
    step = max(1, CHUNK // len(K))
    for first in range(0, L, step):
        rows = slice(first, first + step)
        for a in range(size):
            half = np.asarray(C[a][rows] @ K)
            for b in range(size):
                out[rows, a, b] = np.asarray(C[b][rows].multiply(half).sum(axis=1)).ravel()
    return out
