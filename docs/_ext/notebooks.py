"""The notebooks as pages of the site, with the outputs that they hold; nothing is executed.

Each `notebooks/*.ipynb` becomes `docs/_notebooks/*.md` before the site is built, and `index.md` there lists
them.
"""

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

SHOWN = ("image/png", "text/html", "text/plain")
"""Kinds of outputs, the best first."""


def joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def fenced(text: str, language: str) -> str:
    """A block of code, with a fence that the text doesn't close."""
    ticks = max([2, *(len(run) for run in re.findall(r"`+", text))]) + 1
    return f"{'`' * ticks}{language}\n{text.rstrip()}\n{'`' * ticks}"


def output(record: dict[str, Any], picture: Path) -> str:
    """One output as Markdown; a picture goes to a file."""
    if "text" in record:
        return fenced(joined(record["text"]), "text")
    if "traceback" in record:
        return fenced(f"{record['ename']}: {record['evalue']}", "text")
    kind = next((kind for kind in SHOWN if kind in record.get("data", {})), None)
    if kind is None:
        return ""
    data = joined(record["data"][kind])
    if kind == "image/png":
        picture.write_bytes(base64.b64decode(data))
        return f"![]({picture.name})"
    return fenced(data, "{raw} html" if kind == "text/html" else "text")


def page(notebook: dict[str, Any], stem: str, folder: Path) -> str:
    """A notebook as Markdown, with links to pages and other notebooks as the site has them."""
    parts = []
    for i, cell in enumerate(notebook["cells"]):
        source = joined(cell["source"])
        if cell["cell_type"] == "code":
            parts.append(fenced(source, "python"))
            records = enumerate(cell.get("outputs", []))
            parts += [output(record, folder / f"{stem}_{i}_{k}.png") for k, record in records]
        else:
            source = source.replace("](../docs/", "](../").replace("](../README.md", "](../index.md")
            parts.append(re.sub(r"\]\(([\w-]+)\.ipynb", r"](\1.md", source))
    return "\n\n".join(part for part in parts if part) + "\n"


def write_pages(source: Path, folder: Path) -> list[str]:
    """Pages of all notebooks of a folder, and their index; returns their names."""
    shutil.rmtree(folder, ignore_errors=True)
    stems = sorted(path.stem for path in source.glob("*.ipynb"))
    if not stems:
        return []
    folder.mkdir()
    for stem in stems:
        notebook = json.loads((source / f"{stem}.ipynb").read_text(encoding="utf-8"))
        (folder / f"{stem}.md").write_text(page(notebook, stem, folder), encoding="utf-8")
    lines = ["# Notebooks", "", "As they were run last; the files are in `notebooks/`.", ""]
    lines += ["```{toctree}", ":maxdepth: 1", "", *stems, "```", ""]
    (folder / "index.md").write_text("\n".join(lines), encoding="utf-8")
    return stems


def setup(app: Any) -> dict[str, bool]:
    source = Path(app.srcdir)
    write_pages(source.parent / "notebooks", source / "_notebooks")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
