"""Tables of contents without pages that a checkout lacks."""

import re
from pathlib import Path

from sphinx.application import Sphinx

OPTIONAL = ("reports", "notebooks")


def leave_out(app: Sphinx, docname: str, source: list[str]) -> None:
    for page in OPTIONAL:
        if docname == "index" and not (Path(app.srcdir) / f"{page}.md").exists():
            source[0] = re.sub(rf"^{page}\n", "", source[0], flags=re.M)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", leave_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
