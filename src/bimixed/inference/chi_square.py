"""Reference distributions of likelihood ratios, by name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ChiSquare:
    """χ² with ``df`` degrees of freedom, or the mixture of two for variances tested at 0.

    A variance that is 0 under the smaller model lies at its boundary. With one, and whatever covariances come
    with it, the likelihood ratio is distributed as ½χ²(df − 1) + ½χ²(df) when levels are many (Self and Liang
    1987; Stram and Lee 1994). With several, weights depend on the design, and χ²(df) gives p-values that are
    too large.

    Attributes
    ----------
    df : int
    at_zero : int
        Variances that are 0 under the smaller model.
    """

    df: int
    at_zero: int = 0

    @property
    def name(self) -> str:
        """As shown beside a p-value.

        Examples
        --------
        >>> [ChiSquare(2).name, ChiSquare(2, 1).name, ChiSquare(3, 2).name]
        ['χ²(2)', '½χ²(1) + ½χ²(2)', 'χ²(3), conservative']
        """
        if self.at_zero == 1:
            return f"½χ²({self.df - 1}) + ½χ²({self.df})"
        return f"χ²({self.df})" + (", conservative" if self.at_zero else "")

    def p_value(self, statistic: float) -> float:
        """Probability of a statistic at least as large.

        Examples
        --------
        >>> [round(ChiSquare(1).p_value(3.84), 3), round(ChiSquare(1, 1).p_value(3.84), 3)]
        [0.05, 0.025]
        """
        from scipy.special import chdtrc

        if statistic <= 0.0:
            return 1.0
        whole = float(chdtrc(self.df, statistic))
        if self.at_zero != 1:
            return whole
        less = float(chdtrc(self.df - 1, statistic)) if self.df > 1 else 0.0
        return 0.5 * (less + whole)
