"""The parts of a mixed-model formula, as frozen records."""

from dataclasses import dataclass

from bimixed.formula.groups import format_group


@dataclass(frozen=True)
class RandomTerm:
    """One random-effects term, ``(lhs | group)`` or ``(lhs || group)``, or a variance component.

    Attributes
    ----------
    lhs : str
        What stands left of the bar, in formulaic's language, without an implied intercept.
    group : tuple of str
        Columns or expressions whose combined levels are the groups.
    correlated : bool
        Whether the coefficients have a full covariance matrix (one bar) or none (two bars).
    source : str
        The term as written, parentheses included.
    position : int
        Where ``source`` starts in the formula's text.
    component : str or None
        Name of a variance component: all columns of ``lhs`` have independent effects with one common
        variance, drawn anew in every group.
    """

    lhs: str
    group: tuple[str, ...]
    correlated: bool
    source: str
    position: int
    component: str | None = None

    @property
    def key(self) -> str:
        """The name that tables, draws and priors use, such as ``county`` or ``a:b``."""
        return ":".join(self.group) if self.component is None else self.component

    def __str__(self) -> str:
        if self.component is not None:
            return self.source
        bar = "|" if self.correlated else "||"
        return f"({self.lhs} {bar} {format_group(self.group)})"


@dataclass(frozen=True)
class Formula:
    """A mixed-model formula taken apart.

    Attributes
    ----------
    text : str
        The formula as written.
    response : str
        Left of ``~``.
    fixed : str
        The right side without random-effects terms and offsets, without an implied intercept.
    random : tuple of RandomTerm
        In the order written; ``(x | a/b)`` counts as two terms.
    offsets : tuple of str
        The expressions inside ``offset()``.
    """

    text: str
    response: str
    fixed: str
    random: tuple[RandomTerm, ...]
    offsets: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self.fixed, *(f"offset({o})" for o in self.offsets), *map(str, self.random)]
        return f"{self.response} ~ {' + '.join(parts)}"
