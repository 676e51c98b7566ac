"""The documentation site: `make docs` writes it to docs/_build/html, with warnings as errors."""

import sys
from pathlib import Path

from bimixed import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "bimixed"
author = "the bimixed developers"
copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "members",
    "mathml",
    "notebooks",
    "toctrees",
]
exclude_patterns = ["_build", "tables"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # signatures stay readable; the docstrings say what each argument is
autosummary_generate = False
numpydoc_show_class_members = False  # the pages list members by group
add_module_names = False
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"bimixed {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
