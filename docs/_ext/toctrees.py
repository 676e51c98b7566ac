"""The tables of contents of the index follow what pages there are."""

import re
from pathlib import Path

from sphinx.application import Sphinx

OPTIONAL = ("reports", "_notebooks/index")
"""Pages that a checkout may lack."""
REST = "(other pages)"
"""The line of the index in whose place pages stand that it doesn't list."""


def follow(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname != "index":
        return
    folder = Path(app.srcdir)
    pages = {path.stem for path in folder.glob("*.md")} - {"index"}
    text = source[0]
    for page in OPTIONAL:
        if not (folder / f"{page}.md").exists():
            text = text.replace(f"\n{page}\n", "\n")
    listed = set(re.findall(r"^([\w/]+)$", text, flags=re.M))
    source[0] = text.replace(f"{REST}\n", "".join(f"{page}\n" for page in sorted(pages - listed)))


def outdated(*_: object) -> list[str]:
    """The index is read again in every build: it depends on which pages there are."""
    return ["index"]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", follow)
    app.connect("env-get-outdated", outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
