"""Parts whose columns are products of numeric columns times something that labels alone decide."""

import re
from collections.abc import Sequence

from formulaic.parser.types import Factor

from bimixed.design.matrices import EncodedPart
from bimixed.design.plain import PlainSpec

Product = tuple[str, ...]


def numeric_products(part: EncodedPart, columns: Sequence[str]) -> tuple[list[Product], list[str]] | None:
    """For each column of a part, the numeric columns that it is a product of; and the columns of labels.

    Parameters
    ----------
    part : EncodedPart
    columns : sequence of str
        Columns of the data.

    Returns
    -------
    tuple or None
        None where something else than columns, ``C(column)`` and their products is in the part.
    """
    if isinstance(part.spec, PlainSpec):
        return [tuple(sorted(term)) for term in part.spec.terms], []
    kinds = {str(name): kind for name, (kind, _) in part.spec.encoder_state.items()}
    products: list[Product] = []
    labels: dict[str, None] = {}
    for term in part.spec.structure:
        numeric: list[str] = []
        for factor in term.term.factors:
            if factor.eval_method is Factor.EvalMethod.LITERAL and factor.expr == "1":
                continue
            if kinds.get(str(factor)) is Factor.Kind.CATEGORICAL:
                inner = re.match(r"C\(\s*`?([^`,()]+?)`?\s*[,)]", factor.expr)
                name = factor.expr if inner is None else inner.group(1)
                if name not in columns:
                    return None
                labels[name] = None
            elif factor.eval_method is Factor.EvalMethod.LOOKUP and factor.expr in columns:
                numeric.append(factor.expr)
            else:
                return None
        products += [tuple(sorted(numeric))] * len(term.columns)
    return (products, list(labels)) if len(products) == len(part.names) else None
