"""The parts of a mixed-model formula, as frozen records."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RandomTerm:
    """One random-effects term, ``(lhs | group)`` or ``(lhs || group)``.

    Attributes
    ----------
    lhs : str
        What stands left of the bar, in formulaic's language, without an implied intercept.
    group : tuple of str
        Names of the columns whose combined levels are the groups.
    correlated : bool
        Whether the coefficients have a full covariance matrix (one bar) or none (two bars).
    source : str
        The term as written, parentheses included.
    position : int
        Where ``source`` starts in the formula's text.
    """

    lhs: str
    group: tuple[str, ...]
    correlated: bool
    source: str
    position: int

    @property
    def key(self) -> str:
        """The group's name as tables, draws and priors use it, such as ``county`` or ``a:b``."""
        return ":".join(self.group)

    def __str__(self) -> str:
        bar = "|" if self.correlated else "||"
        group = ":".join(c if c.isidentifier() else f"`{c}`" for c in self.group)
        return f"({self.lhs} {bar} {group})"


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
