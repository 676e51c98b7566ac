"""The calibration study: its bands are exact, it passes a small model, and it finds wrong samplers."""

import importlib
import itertools
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import bimixed as bm

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"
REPLICATIONS = 60
CELLS = 100


@pytest.fixture(scope="module")
def load():
    """Modules of the study, which is no part of the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield lambda name: importlib.import_module(f"calibration.{name}")


@pytest.fixture(scope="module")
def small(load):
    """True values and draws of a random intercept's posterior, (name → number, name → draws) each."""
    runs, quantities = load("runs"), load("quantities")
    found = []
    for number in range(REPLICATIONS):
        spec, truth = runs.simulated("intercept", 2 * number)
        how = {"form": "marginal", "draws": 200, "tune": 200, "chains": 2, "cores": 1, "progress": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.ConvergenceWarning)  # of few draws
            fit = spec.fit("nuts", random_seed=2 * number + 1, **how)
        found.append((spec, truth, quantities.scalars(spec, fit.posterior["posterior"]), fit))
    return found


def p_values(load, replications):
    """By the ECDF, for every quantity of (truth, draws)."""
    runs, bands = load("runs"), load("bands")
    names = replications[0][0]
    return {
        name: bands.ecdf_p(
            np.array([runs.rank(truth[name], draws[name]) for truth, draws in replications]), CELLS
        )
        for name in names
    }


# --- bands -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_chances_are_those_of_all_sequences(load, seed):
    """n = 5 observations in 4 cells: 1024 sequences, each with the product of its shares."""
    rng = np.random.default_rng(seed)
    n, cells = 5, 4
    shares = rng.dirichlet(np.ones(cells))
    running, own = rng.random((cells - 1, n + 1)) < 0.8, rng.random((cells, n + 1)) < 0.8
    by_running = by_own = 0.0
    for sequence in itertools.product(range(cells), repeat=n):
        counts = np.bincount(sequence, minlength=cells)
        chance = float(np.prod(shares[list(sequence)]))
        by_running += chance * running[np.arange(cells - 1), np.cumsum(counts)[:-1]].all()
        by_own += chance * own[np.arange(cells), counts].all()
    bands = load("bands")
    assert bands.chance_inside(n, shares, running=running) == pytest.approx(by_running, abs=1e-12)
    assert bands.chance_inside(n, shares, own=own) == pytest.approx(by_own, abs=1e-12)


def test_bands_hold_as_often_as_they_say(load):
    """Within 4 standard errors of 20,000 simulated studies; counts are whole, so a little above 99 %."""
    bands, rng, n, bins = load("bands"), np.random.default_rng(1), 200, 20
    counts = rng.multinomial(n, np.full(CELLS, 1.0 / CELLS), size=20_000)
    low, high = bands.ecdf_band(n, CELLS)
    below = np.cumsum(counts, axis=1)[:, :-1]
    inside = np.mean(np.all((low <= below) & (below <= high), axis=1))
    assert 0.99 - 4 * 0.0007 <= inside <= 0.993 + 4 * 0.0007
    bars = counts.reshape(len(counts), bins, -1).sum(axis=2)
    low, high = bands.histogram_band(n, bins)
    inside = np.mean(np.all((low <= bars) & (bars <= high), axis=1))
    assert 0.99 - 4 * 0.0007 <= inside <= 0.997 + 4 * 0.0007


def test_p_values_agree_with_simulation_and_with_the_band(load):
    bands, rng, n = load("bands"), np.random.default_rng(2), 80
    tails = bands.running_tails(n, CELLS)
    places = np.arange(CELLS - 1)

    def least(counts):
        return tails[places, np.cumsum(counts, axis=-1)[..., :-1]].min(axis=-1)

    simulated = least(rng.multinomial(n, np.full(CELLS, 1.0 / CELLS), size=20_000))
    low, high = bands.ecdf_band(n, CELLS)
    for a, b in ((1.0, 1.0), (1.0, 1.3), (1.6, 1.6), (1.0, 2.2)):
        ranks = np.minimum(CELLS * rng.beta(a, b, n), CELLS - 1).astype(np.uint8)
        p = bands.ecdf_p(ranks, CELLS)
        counts = np.bincount(ranks, minlength=CELLS)
        # 4 standard errors; ties of tail probabilities differ by rounding
        assert p == pytest.approx(np.mean(simulated <= least(counts) * (1 + 1e-9)), abs=0.014)
        below = np.cumsum(counts)[:-1]
        assert (p <= 0.01) == bool(np.any((below < low) | (below > high)))


def test_power_agrees_with_simulation(load):
    """4 standard errors of 5,000 studies."""
    bands, rng, n = load("bands"), np.random.default_rng(3), 100
    low, high = bands.ecdf_band(n, CELLS)
    for shift, spread in ((0.4, 1.0), (0.0, 1.4)):
        u = stats.norm.cdf((rng.normal(size=(5000, n)) - shift) / spread)
        below = np.sum(u[:, :, None] < np.arange(1, CELLS) / CELLS, axis=1)
        outside = np.mean(np.any((below < low) | (below > high), axis=1))
        assert bands.power(n, CELLS, shift, spread) == pytest.approx(outside, abs=0.03)


def test_bars_count_all_ranks(load):
    """Ranks are kept as bytes, whose products overflow."""
    assert load("bands").binned(np.arange(CELLS, dtype=np.uint8), CELLS, 20).tolist() == [5] * 20


# --- a small study, and wrong samplers --------------------------------------------------------


def test_a_small_model_is_calibrated(load, small):
    """All quantities together at 99.9 %."""
    found = p_values(load, [(truth, draws) for _, truth, draws, _ in small])
    assert min(found.values()) > 0.001 / len(found), found


@pytest.mark.parametrize(("shift", "spread"), [(1.0, 1.0), (0.0, 0.5), (0.0, 5.0)])
def test_wrong_samplers_are_found(load, small, shift, spread):
    """The right draws, but means off by an sd, or sds wrong by a factor: each quantity is found at 99.9 %."""

    def spoilt(x):
        return x.mean() + shift * x.std() + spread * (x - x.mean())

    spoiling = [(truth, {k: spoilt(x) for k, x in draws.items()}) for _, truth, draws, _ in small]
    found = p_values(load, spoiling)
    assert max(found.values()) < 0.001, found


def test_draws_that_ignore_the_data_are_found_by_the_likelihood(load, small):
    """Draws from the prior have uniform ranks of every parameter, but not of the log-likelihood."""
    quantities = load("quantities")
    replications = [
        (truth, quantities.scalars(spec, spec.sample_prior(draws=400, random_seed=1000 + i)["prior"]))
        for i, (spec, truth, _, _) in enumerate(small)
    ]
    found = p_values(load, replications)
    assert found.pop(quantities.LIKELIHOOD) < 1e-6
    assert min(found.values()) > 0.001 / len(found), found


# --- replications -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["intercept", "slope", "crossed", "nested", "membership", "three"])
def test_every_prior_is_a_number_and_the_likelihood_is_that_of_the_rows(load, name):
    """Up to the constant of normal densities with variance sigma²/w, by scipy."""
    models, quantities = load("models"), load("quantities")
    model = models.model(name)
    blank = model.blank()
    assert set(model.priors) and blank.priors == model.spec(np.linspace(100.0, 900.0, model.n)).priors
    tree = blank.sample_prior(draws=2, random_seed=1)
    spec = model.spec(np.asarray(tree["prior_predictive"]["y"])[0, 0])
    design, prior = spec.design, tree["prior"]
    mu = design.X @ np.asarray(prior["fixef"])[0, 0] + (0.0 if design.offset is None else design.offset)
    for f in design.factors:
        mu = mu + f.rows.times(np.asarray(prior[f"ranef_{f.key}"])[0, 0])
    weights = np.ones(model.n) if design.weights is None else design.weights
    sigma = float(prior["sigma"][0, 0])
    constant = 0.5 * model.n * np.log(2.0 * np.pi) - 0.5 * np.sum(np.log(weights))
    expected = stats.norm.logpdf(design.y, mu, sigma / np.sqrt(weights)).sum() + constant
    assert quantities.scalars(spec, prior)["log-likelihood"][0, 0] == pytest.approx(expected, rel=1e-10)


def test_all_families_of_priors_take_part(load):
    models = load("models")
    families = {prior.family for name in models.MODELS for prior in models.model(name).priors.values()}
    assert families == {"normal", "half_student_t", "half_normal", "exponential", "gamma", "uniform", "lkj"}


def test_a_prior_left_to_the_data_is_refused(load):
    models = load("models")
    model = models.model("intercept")
    left = {key: prior for key, prior in model.priors.items() if key != "sigma"}
    with pytest.raises(ValueError, match="sigma would be scaled by the data"):
        models.Model(model.title, model.n, model.make, left).blank()


def test_intervals_are_those_of_results(load, small):
    runs = load("runs")
    spec, truth, draws, fit = small[0]
    reml = spec.fit("reml")
    kept = [name for name in truth if name != "log-likelihood"]
    codes = dict(zip(kept, runs.by_reml(spec, truth), strict=True))
    for i, level in enumerate(runs.LEVELS):
        table, theirs = fit.conf_int(level), reml.conf_int(level)
        for name in table.index:
            lower, upper = runs.equal_tails(draws[name])
            assert (lower[i], upper[i]) == pytest.approx((table.at[name, "lower"], table.at[name, "upper"]))
            inside = theirs.at[name, "lower"] <= truth[name] <= theirs.at[name, "upper"]
            assert inside == (codes[name] >= len(runs.LEVELS) - i)
        half = stats.norm.ppf(0.5 + level / 2) * reml.ranef_sd["g"].iloc[-1, 0]
        name = "ranef_g[g13,Intercept]"
        inside = abs(truth[name] - reml.ranef["g"].iloc[-1, 0]) <= half
        assert inside == (codes[name] >= len(runs.LEVELS) - i)


def test_at_the_boundary_reml_has_no_interval_for_an_sd(load):
    runs, model = load("runs"), load("models").model("intercept")
    _, truth = runs.simulated("intercept", 0)
    x = model.blank().design.X[:, 1]
    y = 1.0 + 0.5 * x + np.tile([1.0, -1.0], len(x))[: len(x)]  # less between the levels than by chance
    codes = dict(zip(truth, runs.by_reml(model.spec(y), truth), strict=False))
    assert codes["sd_g[Intercept]"] == runs.NO_INTERVAL
    assert codes["sigma"] != runs.NO_INTERVAL


def test_ranks_are_among_99_draws_of_all_chains(load):
    rank = load("runs").rank
    draws = np.arange(1000.0).reshape(4, 250)
    assert rank(-1.0, draws) == 0
    assert rank(1000.0, draws) == 99
    assert rank(495.0, draws) == 50  # 0, 10, …, 490
    assert rank(495.0, np.arange(4000.0).reshape(4, 1000) / 4) == 50


# --- the study --------------------------------------------------------------------------------


def test_a_study_goes_on_where_it_was_stopped(load, tmp_path, monkeypatch):
    study, runs = load("study"), load("runs")
    asked = []

    def stopping(jobs, cores):
        asked.extend(jobs)
        for number, job in enumerate(reversed(jobs)):
            if number == 2 and len(jobs) == 4:
                raise KeyboardInterrupt
            yield runs.replicate(job)

    monkeypatch.setattr(study, "answers", stopping)
    path = tmp_path / "partial.jsonl"
    with pytest.raises(KeyboardInterrupt):
        study.carry_out({"intercept": 4}, 1, path)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"run": "inter')  # killed while writing
    found = study.carry_out({"intercept": 4}, 1, path)["intercept"]
    assert asked[4:] == [("intercept", 0), ("intercept", 1)]
    again = [runs.replicate(("intercept", number)) for number in (3, 1)]
    assert found.ranks[[3, 1]].tolist() == [record["ranks"] for record in again]
    study.save({"intercept": found}, tmp_path / "r.npz")
    kept = study.load(tmp_path / "r.npz")["intercept"]
    assert kept.names == found.names
    assert kept.refused == 0
    assert np.array_equal(kept.ranks, found.ranks)
    assert np.array_equal(kept.reml, found.reml)
    assert len(study.read(path)) == 4
    monkeypatch.setattr(study, "SEED", 1)
    assert study.read(path) == {}


def test_refused_replications_are_counted(load, monkeypatch):
    study, runs = load("study"), load("runs")

    def refuse(*_, **__):
        raise bm.FitError("Importance sampling failed: Pareto k is 0.90, above 0.7")

    monkeypatch.setattr(bm.ModelSpec, "fit", refuse)
    refused = runs.replicate(("crossed-importance", 1))
    assert refused["ranks"] is None
    other = asdict(runs.Replication("crossed-importance", 0, 0.1, [5] * 10, [3] * 10, None, 300.0))
    found = study.outcome("crossed-importance", [other, refused])
    assert (found.refused, found.ranks.shape) == (1, (1, 10))


def made_up(load, run, wrong=None, n=200):
    """An outcome with uniform ranks, but of one quantity."""
    study, runs = load("study"), load("runs")
    rng = np.random.default_rng(4)
    names = tuple(runs.simulated(runs.RUNS[run].model, 0)[1])
    ranks = rng.integers(0, CELLS, (n, len(names))).astype(np.uint8)
    if wrong is not None:
        ranks[:, names.index(wrong)] //= 2
    covers = np.full((n, len(names)), 3, np.uint8)
    covers[: n // 4] = 0
    reml = np.full((n, len(names) - 1), 1, np.uint8)
    reml[: n // 10, names.index("sd_g[Intercept]")] = runs.NO_INTERVAL
    ess = np.full(n, 500, np.uint16)
    ess[:3] = 50
    return study.Outcome(
        run, names, ranks, covers, reml, ess, np.ones(n, np.float16), np.zeros(n, np.uint16), 5, 0.1
    )


def test_the_page_says_what_the_ranks_say(load, tmp_path):
    page = load("page")
    outcomes = {"intercept": made_up(load, "intercept", "sigma"), "slope": made_up(load, "slope")}
    page.write(outcomes, tmp_path / "page.md")
    text = " ".join((tmp_path / "page.md").read_text(encoding="utf-8").split())
    assert "Outside by the ECDF: 1 of 18 quantities, where 0.2 are expected" in text
    assert "`sigma` of random intercept, unbalanced" in text
    assert "| random intercept, unbalanced | 205 | 3 | 5 | 7 | 1 | 1 |" in text
    assert "| correlated intercept and slope | 205 | 3 | 5 | 11 | 0 | 0 |" in text
    # 197 kept: 47 of them with 0 of the posterior's intervals, 17 without one of REML's, which are the widest
    row = "| 76.1% | 76.1% | 76.1% | 0.0% | 0.0% | 100.0% | 8.6% |"
    assert f"| `sd_g[Intercept]`, random intercept, unbalanced {row}" in text
    for name in ("calibration", "calibration_ranks"):
        assert (tmp_path / "images" / f"{name}.png").stat().st_size > 10_000


def test_the_kept_study_is_large_enough_and_calibrated(load):
    """What is kept: 500 replications or more, names of today's models, and few quantities outside.

    The hierarchical form is an extra of 100.

    Of 90 quantities 0.9 are expected outside at 99 %; 5 or more have a probability of 0.3 % if independent.
    """
    study, bands, runs = load("study"), load("bands"), load("runs")
    outcomes = study.load(FOLDER / "calibration" / "ranks.npz")
    assert list(outcomes) == list(runs.RUNS)
    outside = []
    for run, found in outcomes.items():
        n = int(found.sampled.sum())
        assert n >= (90 if run.endswith("hierarchical") else 490)
        assert found.names == tuple(runs.simulated(runs.RUNS[run].model, 0)[1])
        low, high = bands.ecdf_band(n, CELLS)
        for q, name in enumerate(found.names):
            below = np.cumsum(np.bincount(found.ranks[found.sampled, q], minlength=CELLS))[:-1]
            outside += [(run, name)] if np.any((below < low) | (below > high)) else []
    assert len(outside) < 5, outside
