"""Formulas as MathML, made at build time: pages need neither scripts nor fonts from elsewhere."""

from html import escape
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def mathml(latex: str, display: str) -> str:
    """LaTeX as a ``math`` element; what can't be converted stops the build."""
    try:
        return convert(latex, display=display)
    except Exception as error:
        raise ExtensionError(f"no MathML for {latex!r}: {error}") from error


def visit_inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    number = f'<span class="eqno">({escape(str(node["number"]))})</span>' if node.get("number") else ""
    body = mathml(node.astext(), "block")
    translator.body.append(f'<div class="math-block">{body}{number}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
