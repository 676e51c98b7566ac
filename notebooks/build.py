"""Run the notebooks and write them with their outputs: python notebooks/build.py [part of a name ...]."""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from cells import FOLDER, SOURCES, read, without_times

os.environ["MATPLOTLIBRC"] = str(FOLDER / "matplotlibrc")
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # tqdm's, about a package for progress bars
FOREIGN = re.compile(r"/(?:home|root|tmp|Users|work)/|site-packages|ipykernel| at 0x[0-9a-f]+")
"""Text that would tell where or when a notebook ran."""


def build(path: Path) -> Path:
    """Execute one notebook in an empty folder and write it beside its source's folder."""
    import nbclient
    from nbformat import v4

    cells = []
    for i, cell in enumerate(read(path)):
        make = v4.new_code_cell if cell.kind == "code" else v4.new_markdown_cell
        metadata = {"tags": list(cell.tags)} if cell.tags else {}
        cells.append(make(cell.source, id=f"cell-{i:02d}", metadata=metadata))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = v4.new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )
    with tempfile.TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(
            notebook, timeout=900, record_timing=False, resources={"metadata": {"path": folder}}
        )
        client.execute()
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [kept(output, path.stem) for output in cell.outputs]
    target = FOLDER / f"{path.stem}.ipynb"
    target.write_text(v4.writes(notebook) + "\n", encoding="utf-8")
    return target


def kept(output: Any, name: str) -> Any:
    """An output without times.

    Raises
    ------
    ValueError
        If it is a warning, or has text that another run wouldn't have.
    """
    if output.get("name") == "stderr":
        raise ValueError(f"{name} writes to stderr: {output.text}")
    if "text" in output:
        output.text = without_times(output.text)
    for kind, content in output.get("data", {}).items():
        if kind.startswith("text/"):
            output.data[kind] = without_times(content)
    text = "".join(str(value) for kind, value in output.get("data", output).items() if kind != "image/png")
    if FOREIGN.search(text):
        raise ValueError(f"{name} has an output with a path or an address: {text[:500]}")
    return output


if __name__ == "__main__":
    chosen = [path for path in SOURCES if not sys.argv[1:] or any(part in path.stem for part in sys.argv[1:])]
    for source in chosen:
        written = build(source)
        print(f"{written.name}: {written.stat().st_size / 1000:.0f} kB")
