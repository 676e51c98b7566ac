"""Helpers in this folder can be imported by tests of every folder; fits that several tests share."""

import sys
from pathlib import Path

import pytest

import bimixed as bm

sys.path.insert(0, str(Path(__file__).parent))


def drop_stale_kernels() -> None:
    """numba's cache of a function doesn't notice a change of one that it calls in another file."""
    package = Path(bm.__file__).parent
    sources = [path for path in package.rglob("*.py") if "import numba" in path.read_text(encoding="utf-8")]
    newest = max(path.stat().st_mtime for path in sources)
    for cached in package.rglob("__pycache__/*.nb[ic]"):
        if cached.stat().st_mtime < newest:
            cached.unlink()


drop_stale_kernels()


@pytest.fixture(scope="session")
def radon_spec():
    return bm.ModelSpec("log_radon ~ floor + log_uranium + (1 + floor | county)", bm.load_dataset("radon"))


@pytest.fixture(scope="session")
def radon_reml(radon_spec):
    return radon_spec.fit(method="reml")


@pytest.fixture(scope="session")
def radon_nuts(radon_spec):
    return radon_spec.fit(method="nuts", random_seed=1, progress=False)


@pytest.fixture(scope="session")
def stan_nuts():
    """The published Stan model of radon, with its own priors."""
    data = bm.load_dataset("radon")
    data["x_mean"] = data.groupby("county")["floor"].transform("mean")
    spec = bm.ModelSpec(
        "log_radon ~ log_uranium + floor + x_mean + (1 | county)",
        data,
        priors={
            "fixef": bm.Prior("normal", mu=0, sigma=1),
            "sd": bm.Prior("uniform", lower=0, upper=100),
            "sigma": bm.Prior("uniform", lower=0, upper=100),
        },
    )
    return spec.fit(method="nuts", random_seed=3, draws=2000, progress=False)
