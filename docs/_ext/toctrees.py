"""The tables of contents of the index follow what pages there are."""

import re
from pathlib import Path

from sphinx.application import Sphinx

OPTIONAL = ("reports", "notebooks")
"""Pages that a checkout may lack."""
REST = "(other pages)"
"""The line of the index in whose place pages stand that it doesn't list."""


def follow(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname != "index":
        return
    pages = {path.stem for path in Path(app.srcdir).glob("*.md")} - {"index"}
    text = source[0]
    for page in set(OPTIONAL) - pages:
        text = re.sub(rf"^{page}\n", "", text, flags=re.M)
    listed = set(re.findall(r"^([\w/]+)$", text, flags=re.M))
    source[0] = text.replace(f"{REST}\n", "".join(f"{page}\n" for page in sorted(pages - listed)))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", follow)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
