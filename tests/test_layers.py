"""Imports point one way only; heavy libraries stay in their folders and out of ``import bimixed``."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import bimixed

ROOT = Path(bimixed.__file__).parent
LAYERS = [
    "_version",
    "exceptions",
    "arguments",
    "vocabulary",
    "shortening",
    "prior_names",
    "formula",
    "dense",
    "covariance",
    "sparse",
    "context",
    "datasets",
    "design",
    "uncentred",
    "priors",
    "prior_marginals",
    "pair_kernels",
    "pairs",
    "schur",
    "trailing_rows",
    "fixed_basis",
    "crossproducts",
    "moment_models",
    "moments",
    "fixed_coordinates",
    "assembly",
    "summed",
    "results",
    "prior_draws",
    "likelihood",
    "least_squares",
    "marginal",
    "bayes",
    "posteriors",
    "description",
    "equation",
    "simulation",
    "engines",
    "specification",
    "given",
    "spec",
    "estimator",
    "saving",
    "streaming",
    "model_differences",
    "overlaps",
    "aligned_tables",
    "evidence",
    "ml_bias",
    "verdicts",
    "compare",
    "side_by_side",
    "prior_check",
    "inference",
    "plots",
    "reports",
    "table_files",
    "cli",
    "__init__",
    "__main__",
    "demo",
]
LAZY = {
    ("compare", "plots"),
    ("inference", "plots"),
    ("results", "inference"),
    ("results", "saving"),
    ("given", "streaming"),
    ("spec", "streaming"),
    ("results", "side_by_side"),
    ("compare", "reports"),
    ("results", "reports"),
    ("results", "streaming"),
    ("saving", "streaming"),
}
"""An import inside a function that points down on purpose."""
HOMES = dict.fromkeys(("pymc", "nutpie", "pytensor", "jax"), "bayes")
HOMES |= {"matplotlib": "plots", "formulaic": "design", "sklearn": "estimator", "duckdb": "streaming"}


def layer(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """Modules that a file imports, type-checking blocks apart."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "bimixed":
                yield from (f"bimixed.{alias.name}" for alias in node.names)
            else:
                yield node.module


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_what_stands_above_it(path):
    mine = layer(path)
    for module in imports(path):
        if module.split(".")[0] != "bimixed" or module == "bimixed":
            continue
        theirs = module.split(".")[1]
        if theirs not in LAYERS or (mine, theirs) in LAZY:
            continue
        assert LAYERS.index(theirs) <= LAYERS.index(mine), f"{mine} imports {theirs}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_stay_in_their_folders(path):
    for module in imports(path):
        home = HOMES.get(module.split(".")[0])
        assert home is None or layer(path) == home, f"{path.name} imports {module}"


def test_the_two_backends_never_import_each_other():
    for path in FILES:
        for module in imports(path):
            if layer(path) == "bayes":
                assert not module.startswith("bimixed.likelihood")
            if layer(path) == "likelihood":
                assert not module.startswith("bimixed.bayes")


def test_import_bimixed_loads_nothing_heavy():
    code = "import sys, json, bimixed; print(json.dumps(list(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(shown.stdout))
    heavy = {
        "pymc",
        "arviz",
        "nutpie",
        "matplotlib",
        "numba",
        "scipy.optimize",
        "scipy.stats",
        "pytensor",
        "sklearn",
    }
    assert not loaded & heavy


def test_without_scikit_learn_the_estimator_says_what_to_do():
    code = (
        "import sys; sys.modules['sklearn'] = None; import bimixed as bm\n"
        "try: bm.MixedRegressor\n"
        "except bm.UnavailableError as error: print(error)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "python -m pip install 'scikit-learn>=1.6'" in shown.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_public_names_have_docstrings(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or path.name == "_version.py"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node) or len(node.body) <= 4, node.name
