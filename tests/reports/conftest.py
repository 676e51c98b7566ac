"""Pages of five results, made once."""

import warnings

import pytest
from odd_names import FORMULA, odd_data

import bimixed as bm


@pytest.fixture(scope="session")
def few_draws(radon_spec):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)
        return radon_spec.fit("nuts", draws=100, tune=200, chains=2, random_seed=1, progress=False)


@pytest.fixture(scope="session")
def singular():
    return bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()


@pytest.fixture(scope="session")
def odd():
    return bm.ModelSpec(FORMULA, odd_data()).fit("ml")


@pytest.fixture(scope="session")
def pages(radon_reml, few_draws, singular, odd, tmp_path_factory):
    """Text by name."""
    folder = tmp_path_factory.mktemp("pages")
    results = {
        "reml": radon_reml,
        "nuts": few_draws,
        "both": bm.compare(radon_reml, few_draws),
        "singular": singular,
        "odd": odd,
    }
    return {
        name: result.to_html(folder / f"{name}.html").read_text(encoding="utf-8")
        for name, result in results.items()
    }
