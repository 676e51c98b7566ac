"""Every Python block of the README and the guides runs as typed, one after the other."""

import json
import re
import shlex
import warnings
from base64 import b64encode
from contextlib import redirect_stdout
from importlib.util import module_from_spec, spec_from_file_location
from io import StringIO
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

import bimixed as bm
from bimixed.cli import main

ROOT = Path(__file__).parent.parent
EVERY_PAGE = ["README.md", "CONTRIBUTING.md"]
EVERY_PAGE += sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md"))
PAGES = [page for page in EVERY_PAGE if "```python\n" in (ROOT / page).read_text(encoding="utf-8")]
OPTIONAL = {"docs/interoperation.md": ("sklearn", "duckdb", "pyarrow")}
"""What a page needs that bimixed doesn't."""


@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(page, tmp_path, monkeypatch):
    """A block of text right below one of Python is what that prints."""
    for name in OPTIONAL.get(page, ()):
        pytest.importorskip(name)
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", text, flags=re.S)
    names = {"__name__": "page"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for block, expected in blocks:
            printed = StringIO()
            with redirect_stdout(printed):
                exec(compile(block, page, "exec"), names)
            plt.close("all")
            if expected:
                assert printed.getvalue().split() == expected.split()


def test_commands_run(tmp_path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    bm.load_dataset("radon").to_csv("radon.csv", index=False)
    text = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    commands = "".join(re.findall(r"```bash\n(.*?)```", text, flags=re.S)).splitlines()
    assert len(commands) >= 5
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "bimixed"
        assert main(arguments) == 0, command


def test_pages_with_code():
    """All of them are found: the glob and the fence above are right."""
    assert {"README.md", "docs/specification.md", "docs/inference.md", "docs/plots.md"} <= set(PAGES)


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), target


def test_reference_has_every_public_name():
    """Members of classes come by themselves (``docs/_ext/members.py``), names of the package don't."""
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.rst"))
    directives = set(re.findall(r"^\.\. (?:autoclass|autofunction):: bimixed\.(\w+)$", pages, flags=re.M))
    errors = {name for name in bm.__all__ if isinstance(getattr(bm, name), type)}
    errors = {name for name in errors if issubclass(getattr(bm, name), (Exception, Warning))}
    assert set(bm.__all__) - {"__version__", "plots"} - errors == directives - {"MixedRegressor"}


def test_notebooks_become_pages(tmp_path):
    """Sources, outputs of each kind and links; a picture's bytes are those of the notebook."""
    place = ROOT / "docs" / "_ext" / "notebooks.py"
    module = module_from_spec(file := spec_from_file_location("notebooks", place))
    file.loader.exec_module(module)
    source = tmp_path / "notebooks"
    source.mkdir()
    cells = [
        {"cell_type": "markdown", "source": ["# One\n", "[a](../docs/plots.md) [b](two.ipynb)"]},
        {
            "cell_type": "code",
            "source": "print('```')",
            "outputs": [
                {"output_type": "stream", "text": ["```\n"]},
                {"data": {"text/html": "<b>bold</b>", "text/plain": "plain"}},
                {"data": {"image/png": b64encode(b"picture").decode()}},
            ],
        },
    ]
    (source / "one.ipynb").write_text(json.dumps({"cells": cells}))
    assert module.write_pages(source, tmp_path / "pages") == ["one"]
    text = (tmp_path / "pages" / "one.md").read_text()
    assert text.startswith("# One\n[a](../plots.md) [b](two.md)\n\n````python\nprint('```')\n````")
    assert "````text\n```\n````" in text and "```{raw} html\n<b>bold</b>\n```" in text
    assert "plain" not in text
    assert (tmp_path / "pages" / "one_1_2.png").read_bytes() == b"picture"
    assert "one\n```" in (tmp_path / "pages" / "index.md").read_text()
    assert module.write_pages(tmp_path, tmp_path / "pages") == [] and not (tmp_path / "pages").exists()
