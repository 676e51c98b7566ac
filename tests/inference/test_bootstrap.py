"""The bootstrap: what is drawn, what is fitted, limits, and counts of what went wrong."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.inference import bootstrap as module
from bimixed.inference import processes
from bimixed.inference.cases import Cases
from bimixed.inference.replicates import parameters
from bimixed.inference.resampling import Parametric, Residual

SLOPES = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleepstudy():
    return bm.load_dataset("sleepstudy")


@pytest.fixture(scope="module")
def slopes(sleepstudy):
    return bm.ModelSpec(SLOPES, sleepstudy).fit()


@pytest.fixture(scope="module")
def intercepts(sleepstudy):
    return bm.ModelSpec("Reaction ~ Days + (1 | Subject)", sleepstudy).fit("ml")


def nested_data(seed=1):
    """Classes within schools, weights and an offset."""
    rng = np.random.default_rng(seed)
    school = rng.integers(0, 12, 240)
    room = rng.integers(0, 3, 240)
    data = pd.DataFrame({"school": school.astype(str), "room": room.astype(str), "x": rng.normal(size=240)})
    data["w"], data["o"] = rng.uniform(0.5, 2.0, 240), rng.normal(size=240)
    effects = rng.normal(size=12)[school] + 0.7 * rng.normal(size=(12, 3))[school, room]
    data["y"] = data["x"] + effects + data["o"] + rng.normal(size=240) / np.sqrt(data["w"])
    return data


@pytest.fixture(scope="module")
def nested():
    spec = bm.ModelSpec("y ~ x + (1 | school / room)", nested_data(), weights="w", offset="o")
    return spec.fit()


def seeds(n, seed=0):
    return np.random.SeedSequence(seed).spawn(n)


class TestDraws:
    def test_names_are_those_of_conf_int(self, slopes, nested):
        for fit in (slopes, nested):
            assert parameters(fit).index.tolist() == fit.conf_int().index.tolist()
            own = fit.uncertainty.variance_parameters().values
            np.testing.assert_allclose(parameters(fit).to_numpy()[-len(own) :], own, rtol=1e-12)

    @pytest.mark.parametrize("kind", [Parametric, Residual])
    def test_moments_of_responses(self, nested, kind):
        """Mean Xβ + offset, covariance σ²(W⁻¹ + ZHZ'): 5 Monte Carlo errors of 4,000 responses."""
        y = kind.of(nested)(seeds(4000))
        design, cov = nested.design, nested.random_cov
        mean = design.X @ nested.fixef["estimate"].to_numpy() + design.offset
        V = np.diag(nested.sigma**2 / design.weights)
        for f in design.factors:
            Z = f.matrix().toarray()
            V += float(cov[f.key].iloc[0, 0]) * Z @ Z.T
        sd = np.sqrt(np.diag(V))
        np.testing.assert_array_less(np.abs(y.mean(axis=1) - mean), 5 * sd / np.sqrt(4000))
        rows = np.arange(0, 240, 6)
        ours = np.cov(y[rows])
        error = np.sqrt((V[rows][:, rows] ** 2 + np.outer(sd[rows], sd[rows]) ** 2) / 4000)
        if kind is Residual:  # fourth moments are those of the few levels, at most twice the normal's here
            error = 1.5 * error
        np.testing.assert_array_less(np.abs(ours - V[rows][:, rows]), 5 * error)

    def test_rescaled_effects_have_the_estimated_covariance(self, slopes):
        ((own,),) = Residual.of(slopes).effects
        np.testing.assert_allclose(own.mean(axis=0), 0.0, atol=1e-9)
        np.testing.assert_allclose(own.T @ own / 18, slopes.random_cov["Subject"], rtol=1e-8)
        residuals = Residual.of(slopes).residuals
        assert np.mean(residuals**2) == pytest.approx(slopes.sigma**2, rel=1e-12)

    def test_singular_covariances_are_kept(self, sleepstudy):
        data = sleepstudy.assign(z=sleepstudy.groupby("Subject")["Reaction"].transform("mean").rank())
        data["y"] = data["Reaction"] - data.groupby("Subject")["Reaction"].transform("mean")
        fit = bm.ModelSpec("y ~ Days + (Days | Subject)", data).fit()
        assert fit.diagnostics.singular
        ((own,),) = Residual.of(fit).effects
        cov = fit.random_cov["Subject"].to_numpy()
        np.testing.assert_allclose(own.T @ own / 18, cov, atol=1e-6 * np.abs(cov).max())
        assert bm.bootstrap(fit, n=60, random_seed=1, kind="residual").n_singular > 10

    def test_uncorrelated_coefficients_are_drawn_apart(self, sleepstudy):
        fit = bm.ModelSpec("Reaction ~ Days + (Days || Subject)", sleepstudy).fit()
        (blocks,) = Residual.of(fit).effects
        assert [b.shape for b in blocks] == [(18, 1), (18, 1)]

    def test_copies_of_levels(self, nested):
        cases = Cases.of(nested.design)
        assert cases.key == "school"
        seed = seeds(1)[0]
        drawn = np.random.default_rng(seed).integers(12, size=12)
        design, own = cases(seed), nested.design
        by_key = {f.key: f for f in design.factors}
        parts = [np.flatnonzero(own.factor("school").codes == k) for k in drawn]
        rows = np.concatenate(parts)
        np.testing.assert_array_equal(design.y, own.y[rows])
        np.testing.assert_array_equal(design.weights, own.weights[rows])
        np.testing.assert_array_equal(design.offset, own.offset[rows])
        np.testing.assert_array_equal(design.frame.table["x"], own.frame.table["x"].to_numpy()[rows])
        copies = np.repeat(np.arange(12), [len(p) for p in parts])
        np.testing.assert_array_equal(by_key["school"].codes, copies)
        rooms = by_key["room:school"] if "room:school" in by_key else by_key["school:room"]
        labels = pd.Series(list(zip(copies, own.factor(rooms.key).codes[rows], strict=True)))
        assert rooms.n_levels == labels.nunique()
        assert pd.DataFrame({"a": labels, "b": rooms.codes}).groupby("a")["b"].nunique().max() == 1

    def test_a_case_replicate_is_the_fit_of_the_rows_drawn(self, nested):
        replicates = bm.bootstrap(nested, n=3, kind="case", random_seed=4).replicates
        data = nested_data()
        labels = nested.design.factor("school").levels
        seed = np.random.SeedSequence(4).spawn(3)[1]
        drawn = np.random.default_rng(seed).integers(12, size=12)
        parts = [
            data[data["school"] == labels[k]].assign(school=f"copy {i:02d}") for i, k in enumerate(drawn)
        ]
        spec = bm.ModelSpec("y ~ x + (1 | school / room)", pd.concat(parts), weights="w", offset="o")
        np.testing.assert_allclose(replicates.loc[1], parameters(spec.fit()), rtol=1e-5)


class TestReplicates:
    @pytest.mark.parametrize("kind", ["parametric", "residual"])
    @pytest.mark.parametrize("which", ["slopes", "intercepts", "nested"])
    def test_one_by_one_and_together(self, which, kind, request):
        fit = request.getfixturevalue(which)
        together = bm.bootstrap(fit, n=12, kind=kind, random_seed=2)
        alone = bm.bootstrap(fit, n=12, kind=kind, random_seed=2, statistic=parameters)
        # both stop where a Newton step promises less than 1e-11 of deviance: 1e-5 of a standard error
        np.testing.assert_allclose(together.replicates, alone.replicates, rtol=1e-4, atol=1e-5)
        assert together.n_singular == alone.n_singular

    def test_the_first_replicates_are_the_same_whatever_n(self, slopes):
        few = bm.bootstrap(slopes, n=10, random_seed=3).replicates
        more = bm.bootstrap(slopes, n=70, random_seed=3).replicates
        np.testing.assert_allclose(few, more[:10], rtol=1e-6)

    @pytest.mark.parametrize("kind", ["parametric", "case"])
    def test_the_same_whatever_the_workers(self, slopes, kind):
        one, two = (
            bm.bootstrap(slopes, n=60, kind=kind, random_seed=5, workers=workers).replicates
            for workers in (1, 2)
        )
        pd.testing.assert_frame_equal(one, two, check_exact=True)
        assert not one.equals(bm.bootstrap(slopes, n=60, kind=kind, random_seed=6).replicates)

    def test_spread_and_limits_are_those_of_theory(self, intercepts):
        """Fixed effects and sigma of a large regular design: 1,000 replicates know an sd to 2.2 %."""
        wald, table = intercepts.variance_table()["std_error"], intercepts.fixef["std_error"]
        for kind in ("parametric", "residual"):
            boot = bm.bootstrap(intercepts, n=1000, kind=kind, random_seed=1)
            sd = boot.table["std_error"]
            assert sd["Days"] == pytest.approx(table["Days"], rel=0.1)
            assert sd["Intercept"] == pytest.approx(table["Intercept"], rel=0.1)
            if kind == "parametric":
                assert sd["sigma"] == pytest.approx(wald["sigma"], rel=0.1)
            limits = intercepts.conf_int().loc[["Intercept", "Days"]]
            error = np.abs(boot.conf_int().loc[["Intercept", "Days"]] - limits).to_numpy()
            assert (error < 0.35 * table.to_numpy()[:, None]).all()

    def test_statistics_of_every_shape(self, intercepts):
        number = bm.bootstrap(intercepts, n=4, random_seed=1, statistic=lambda fit: fit.sigma)
        series = bm.bootstrap(intercepts, n=4, random_seed=1, statistic=lambda fit: fit.fixef["estimate"])
        array = bm.bootstrap(intercepts, n=4, random_seed=1, statistic=lambda fit: fit.resid[:3].to_numpy())
        whole = bm.bootstrap(intercepts, n=4, random_seed=1).replicates
        assert number.replicates.columns.tolist() == ["statistic"]
        assert array.replicates.columns.tolist() == ["0", "1", "2"]
        np.testing.assert_allclose(number.replicates["statistic"], whole["sigma"], rtol=1e-6)
        np.testing.assert_allclose(series.replicates, whole[["Intercept", "Days"]], rtol=1e-6)
        assert number.conf_int(0.5, kind="basic").shape == (1, 2)

    def test_functions_written_on_the_spot_reach_other_processes(self, intercepts):
        share = 3.0
        one, two = (
            bm.bootstrap(
                intercepts, n=9, random_seed=1, workers=w, statistic=lambda fit: share * fit.sigma**2
            )
            for w in (1, 2)
        )
        pd.testing.assert_frame_equal(one.replicates, two.replicates, check_exact=True)


class TestLimits:
    def test_percentile_and_basic(self, slopes):
        boot = bm.bootstrap(slopes, n=199, random_seed=1)
        ordered = np.sort(boot.replicates["Days"])
        percentile = boot.conf_int(0.9)
        # (n + 1) p = 10 and 190
        assert percentile.loc["Days"].tolist() == pytest.approx([ordered[9], ordered[189]], rel=1e-12)
        basic, estimate = boot.conf_int(0.9, kind="basic"), boot.estimate["Days"]
        wanted = [2 * estimate - ordered[189], 2 * estimate - ordered[9]]
        assert basic.loc["Days"].tolist() == pytest.approx(wanted, rel=1e-12)
        assert basic.filter(like="sd_", axis=0).to_numpy().min() >= 0
        assert np.abs(basic.filter(like="corr_", axis=0)).to_numpy().max() <= 1

    def test_studentised(self, intercepts):
        boot = bm.bootstrap(intercepts, n=99, random_seed=1, std_errors=True)
        ys = Parametric.of(intercepts)(np.random.SeedSequence(1).spawn(99))
        fits = [intercepts.refit(y) for y in ys.T]
        limits = boot.conf_int(0.9, kind="studentized")
        t = np.sort(
            [
                (f.fixef.loc["Days", "estimate"] - boot.estimate["Days"]) / f.fixef.loc["Days", "std_error"]
                for f in fits
            ]
        )
        se = intercepts.fixef.loc["Days", "std_error"]
        wanted = [boot.estimate["Days"] - t[94] * se, boot.estimate["Days"] - t[4] * se]
        assert limits.loc["Days"].tolist() == pytest.approx(wanted, rel=1e-9)
        key = "sd_Subject[Intercept]"

        def log_sd(f):  # its standard error is that of the sd over the sd
            table = f.variance_table().loc[key]
            return np.log(table["estimate"]), table["std_error"] / table["estimate"]

        own, se = log_sd(intercepts)
        t = np.sort([(value - own) / error for value, error in map(log_sd, fits)])
        wanted = np.exp([own - t[94] * se, own - t[4] * se])
        assert limits.loc[key].tolist() == pytest.approx(wanted.tolist(), rel=1e-9)

    def test_studentised_where_there_is_no_standard_error(self, intercepts):
        with pytest.raises(bm.UnavailableError, match="std_errors=True"):
            bm.bootstrap(intercepts, n=5, random_seed=1).conf_int(kind="studentized")
        boot = bm.bootstrap(intercepts, n=5, random_seed=1, statistic=lambda fit: fit.sigma)
        with pytest.raises(bm.UnavailableError, match="percentile"):
            boot.conf_int(kind="studentized")
        dyestuff = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff")).fit()
        boot = bm.bootstrap(dyestuff, n=100, random_seed=1, std_errors=True)
        assert boot.n_singular > 0
        with pytest.warns(bm.BimixedWarning, match=r"sd_Batch.*boundary"):
            limits = boot.conf_int(kind="studentized")
        assert limits.loc["sd_Batch[Intercept]"].isna().all()
        assert limits.loc["Intercept"].notna().all()

    def test_too_few_replicates_for_a_level(self, intercepts):
        boot = bm.bootstrap(intercepts, n=20, random_seed=1)
        with pytest.warns(bm.BimixedWarning, match="20 replicates"):
            limits = boot.conf_int()
        assert limits.loc["Days"].tolist() == [boot.replicates["Days"].min(), boot.replicates["Days"].max()]

    def test_conf_int_of_the_fit(self, intercepts):
        boot = bm.bootstrap(intercepts, n=100, random_seed=1)
        direct = intercepts.conf_int(0.9, method="bootstrap", n=100, random_seed=1)
        pd.testing.assert_frame_equal(direct, boot.conf_int(0.9))

    def test_dropped_columns_have_none(self, sleepstudy):
        fit = bm.ModelSpec("Reaction ~ Days + I(2 * Days) + (1 | Subject)", sleepstudy).fit()
        for kind in ("parametric", "residual", "case"):
            limits = bm.bootstrap(fit, n=40, kind=kind, random_seed=1).conf_int()
            assert limits.index[limits.isna().any(axis=1)].tolist() == list(fit.design.dropped)


class TestCounts:
    def test_singular_replicates_are_counted_and_shown(self):
        fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
        boot = bm.bootstrap(fit, n=200, random_seed=1)
        assert boot.n_singular == (boot.replicates["sd_Batch[Intercept]"] == 0).sum() > 50
        assert f"Singular:     {boot.n_singular}" in str(boot) and "Failed:       0" in str(boot)
        assert "Singular" in boot._repr_html_()

    def test_failures_are_counted_with_the_first_message(self, intercepts):
        def fragile(fit):
            if fit.sigma < 30.5:
                raise ValueError("too small")
            return fit.sigma

        boot = bm.bootstrap(intercepts, n=40, random_seed=1, statistic=fragile)
        sigma = bm.bootstrap(intercepts, n=40, random_seed=1).replicates["sigma"]
        assert 0 < boot.n_failed == (sigma < 30.5).sum() < 40
        assert boot.first_error == "ValueError: too small"
        assert boot.replicates["statistic"].isna().sum() == boot.n_failed
        assert "ValueError: too small" in str(boot)
        assert boot.conf_int(0.5).notna().all().all()
        assert boot.n_not_converged == 0

    def test_statistics_that_change_their_shape(self, intercepts):
        lengths = iter([2, 2, 3, 2])
        boot = bm.bootstrap(intercepts, n=3, random_seed=1, statistic=lambda fit: np.ones(next(lengths)))
        assert boot.n_failed == 1 and "3 values" in boot.first_error

    def test_nothing_but_failures(self, intercepts):
        calls = iter([True])

        def broken(fit):
            if next(calls, False):
                return 1.0
            raise KeyError("gone")

        with pytest.raises(bm.FitError, match=r"None of 5.*KeyError: 'gone'"):
            bm.bootstrap(intercepts, n=5, random_seed=1, statistic=broken)

    def test_levels_without_a_factor_level_of_the_fixed_part(self):
        rng = np.random.default_rng(1)
        g = np.repeat(np.arange(5), 6)
        data = pd.DataFrame({"g": g.astype(str), "t": np.where(g == 0, "a", "b"), "y": rng.normal(size=30)})
        boot = bm.bootstrap(bm.ModelSpec("y ~ t + (1 | g)", data).fit(), n=40, kind="case", random_seed=1)
        drawn = [
            np.random.default_rng(seed).integers(5, size=5) for seed in np.random.SeedSequence(1).spawn(40)
        ]
        without = [not (d == 0).any() or (d == 0).all() for d in drawn]
        assert boot.replicates["sigma"].isna().tolist() == without
        assert 0 < boot.n_failed == sum(without) and "collinear" in boot.first_error


class TestInterrupts:
    def test_what_is_done_is_kept(self, intercepts, monkeypatch):
        def interrupting(self, done):
            if done >= 100:
                raise KeyboardInterrupt

        monkeypatch.setattr(processes.Progress, "update", interrupting)
        boot = bm.bootstrap(intercepts, n=300, random_seed=1)
        assert boot.interrupted and len(boot.replicates) == 100
        assert "100 of 300 (interrupted)" in str(boot)
        monkeypatch.undo()
        whole = bm.bootstrap(intercepts, n=300, random_seed=1)
        pd.testing.assert_frame_equal(boot.replicates, whole.replicates[:100], check_exact=True)
        assert not whole.interrupted

    def test_a_real_one_with_workers_leaves_no_process(self, intercepts, monkeypatch):
        def slow(fit):
            import time

            time.sleep(0.05)
            return fit.sigma

        def interrupting(self, done):
            if done >= 12:
                os.kill(os.getpid(), signal.SIGINT)

        # a shell's background job ignores the signal
        monkeypatch.setattr(processes.Progress, "update", interrupting)
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        before = threading.active_count()
        try:
            boot = bm.bootstrap(intercepts, n=2000, random_seed=1, statistic=slow, workers=2)
        finally:
            signal.signal(signal.SIGINT, handler)
        monkeypatch.undo()
        assert boot.interrupted and 0 < len(boot.replicates) < 2000
        assert threading.active_count() == before
        sigma = bm.bootstrap(intercepts, n=2000, random_seed=1).replicates["sigma"]
        np.testing.assert_allclose(boot.replicates["statistic"], sigma[boot.replicates.index], rtol=1e-6)

    def test_before_anything_is_done(self, intercepts, monkeypatch):
        def interrupted(task, piece):
            raise KeyboardInterrupt

        monkeypatch.setattr(module.Together, "__call__", interrupted)
        with pytest.raises(bm.FitError, match="nothing to keep"):
            bm.bootstrap(intercepts, n=10, random_seed=1)


def test_a_script_needs_no_guard_and_warns_of_nothing(tmp_path):
    """Processes don't run the caller's script again; a statistic may print, and may be of the script."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import bimixed as bm

        def statistic(fit):
            print("noise")
            return fit.sigma

        fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff")).fit()
        boot = bm.bootstrap(fit, n=12, random_seed=1, workers=2, statistic=statistic, progress=False)
        print(len(boot.replicates))
        """)
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(script)], capture_output=True, text=True, check=True, timeout=120
    )
    assert ran.stdout.split() == ["noise", "12"]  # the fit's own statistic, in the script's process
    assert "noise" in ran.stderr and not ran.stderr.replace("noise", "").strip()


def test_a_worker_that_dies_is_told(intercepts):
    here = os.getpid()

    def deadly(fit):
        import os

        if os.getpid() != here:
            os._exit(3)
        return fit.sigma

    with pytest.raises(bm.FitError, match=r"worker process ended.*fewer workers"):
        bm.bootstrap(intercepts, n=10, random_seed=1, statistic=deadly, workers=2)


class TestErrors:
    def test_requests_that_make_no_sense(self, intercepts):
        for arguments, message in (
            ({"n": 0}, "n is 0"),
            ({"workers": 0}, "workers is 0"),
            ({"random_seed": -1}, "random_seed"),
            ({"kind": "wild"}, "parametric, residual, case"),
            ({"statistic": "sigma"}, "lambda fit"),
            ({"statistic": lambda fit: "a"}, "can't be read as numbers"),
            ({"statistic": lambda fit: fit.vcov}, "shape"),
            ({"statistic": lambda fit: fit.sigma, "std_errors": True}, "leave it out"),
        ):
            with pytest.raises(bm.BimixedError, match=message):
                bm.bootstrap(intercepts, **{"n": 5, **arguments})
        boot = bm.bootstrap(intercepts, n=5, random_seed=1)
        with pytest.raises(bm.DataError, match="percentile, basic, studentized"):
            boot.conf_int(kind="bca")
        with pytest.raises(bm.DataError, match="probability"):
            boot.conf_int(95)
        with pytest.raises(bm.DataError, match="choose 'wald', 'profile' or 'bootstrap'"):
            intercepts.conf_int(method="score")

    def test_draws(self):
        spec = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff"))
        draws = spec.fit("importance", draws=1000, random_seed=1)
        with pytest.raises(bm.UnavailableError, match="maximised likelihood"):
            bm.bootstrap(draws)
        pd.testing.assert_frame_equal(draws.conf_int(method="bootstrap"), draws.conf_int())  # equal tails

    def test_crossed_groups_have_no_cases(self):
        data = nested_data().assign(item=np.arange(240) % 7)
        fit = bm.ModelSpec("y ~ x + (1 | school) + (1 | item)", data).fit()
        with pytest.raises(bm.UnavailableError, match=r"crossed.*parametric"):
            bm.bootstrap(fit, n=5, kind="case")

    def test_variances_that_are_not_identified(self):
        with pytest.warns(bm.IdentificationWarning):
            fit = bm.ModelSpec("y ~ school + (1 | school)", nested_data()).fit()
        with pytest.raises(bm.FitError, match="not identified"):
            bm.bootstrap(fit, n=5)
