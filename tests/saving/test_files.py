"""A result comes back from its file with the same numbers; a file that can't give them is refused."""

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy  # noqa: F401  (in a formula)
import numpy as np
import pandas as pd
import pytest
from drawn import dyestuff, importance_fit

import bimixed as bm
from bimixed.saving import archive
from bimixed.saving.formulas import check_formulas


def cube(x):
    return x**3


KNOTS = [0.3, 0.6]
RADON = "log_radon ~ floor + log_uranium + (1 + floor | county)"


def weights():
    return np.random.default_rng(7).uniform(0.5, 2.0, 919)


FORMULAS = {
    "random slope": (RADON, {}),
    "states": (
        "log_radon ~ scale(floor) + poly(log_uranium, 2) + bs(log_uranium, df=5) + (scale(floor) | county)",
        {},
    ),
    "labels": ("log_radon ~ C(floor, contr.sum) * log_uranium + (1 | county)", {}),
    "groups": ("log_radon ~ floor + (1 | county) + (1 | np.round(log_uranium) > 0)", {}),
    "offset and weights": (
        "log_radon ~ floor + offset(0.5 * log_uranium) + (1 | county)",
        {"weights": weights()},
    ),
    "values of the caller": ("log_radon ~ floor + bs(log_uranium, knots=KNOTS) + (1 | county)", {}),
}


def limits(fit, new):
    kind = (
        "confidence"
        if fit.spec.design.weights is not None and fit.spec.design.weights_column is None
        else "prediction"
    )
    return fit.predict(new, new_levels="sample", interval=kind, random_seed=3)


def assert_same(loaded, fit, new):
    """Everything to the last digit: the same arithmetic on the same numbers."""
    pd.testing.assert_frame_equal(limits(loaded, new), limits(fit, new), rtol=1e-12, atol=1e-12)
    pd.testing.assert_series_equal(loaded.fitted, fit.fitted, rtol=1e-12)
    pd.testing.assert_frame_equal(loaded.coef_table(), fit.coef_table(), rtol=1e-10)
    pd.testing.assert_frame_equal(loaded.conf_int(), fit.conf_int(), rtol=1e-10)
    pd.testing.assert_frame_equal(loaded.varcorr, fit.varcorr, rtol=1e-12)
    for key, table in fit.ranef_sd.items():
        pd.testing.assert_frame_equal(loaded.ranef_sd[key], table, rtol=1e-10)
    assert str(loaded) == str(fit)
    assert loaded.diagnostics == fit.diagnostics
    assert str(loaded.spec) == str(fit.spec)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_likelihood_fits_come_back(name, method, tmp_path):
    formula, how = FORMULAS[name]
    data = bm.load_dataset("radon")
    data.loc[[3, 7], "floor"] = np.nan
    new = data.iloc[10:16].assign(county=["new", "new", *data["county"][:4]], weights=1.0)
    how = {"weights": "weights"} if how else {}
    data = data.assign(weights=weights())
    fit = bm.ModelSpec(formula, data, **how).fit(method)
    fit.save(tmp_path / "fit")
    loaded = bm.load(tmp_path / "fit")
    assert_same(loaded, fit, new)
    assert loaded.loglik == pytest.approx(fit.loglik, rel=1e-12)
    y = fit.spec.design.y[::-1].copy()
    assert loaded.refit(y).loglik == pytest.approx(fit.refit(y).loglik, rel=1e-10)
    other = loaded.spec.update(". ~ . + (0 + log_uranium | county)")
    assert other.fit(method).loglik == fit.spec.update(other.formula).fit(method).loglik


def test_draws_come_back_with_everything_that_is_made_of_them(tmp_path):
    priors = {"Intercept": bm.Prior("normal", mu=1500, sigma=100)}
    fit = importance_fit(dyestuff(priors), 1000)
    fit.save(tmp_path / "draws")
    loaded = bm.load(tmp_path / "draws")
    assert_same(loaded, fit, pd.DataFrame({"Batch": ["A", "new"]}))
    assert loaded.posterior["posterior"].identical(fit.posterior["posterior"])
    assert loaded.loo().elpd == fit.loo().elpd
    assert loaded.spec.priors["Intercept"] == priors["Intercept"]
    np.testing.assert_array_equal(
        loaded.predict_draws(kind="response", random_seed=1),
        fit.predict_draws(kind="response", random_seed=1),
    )
    table = bm.compare(bm.load(tmp_path / "draws"), dyestuff().fit()).fixef
    pd.testing.assert_frame_equal(table, bm.compare(fit, dyestuff().fit()).fixef)


def test_chains_of_nuts_keep_their_statistics(radon_nuts, tmp_path):
    """All but a sampler's messages, which are objects."""
    tree = radon_nuts.posterior.copy()
    statistics = tree["sample_stats"].to_dataset()
    messages = statistics["diverging"].astype(object)
    tree["sample_stats"] = statistics.assign(divergence_message=messages)
    replace(radon_nuts, posterior=tree).save(tmp_path / "nuts")
    loaded = bm.load(tmp_path / "nuts")
    assert loaded.posterior["posterior"].identical(radon_nuts.posterior["posterior"])
    assert loaded.posterior["sample_stats"].to_dataset().equals(statistics)
    assert loaded.diagnostics == radon_nuts.diagnostics
    pd.testing.assert_frame_equal(loaded.conf_int(), radon_nuts.conf_int(), rtol=1e-12)


def test_tables_of_every_kind_come_back(tmp_path):
    data = bm.load_dataset("radon")
    pl = pytest.importorskip("polars")
    frame = pl.from_pandas(data).with_columns(pl.col("county").cast(pl.Categorical))
    fits = [
        bm.ModelSpec("log_radon ~ floor + (1 | county)", frame, weights=pl.Series(weights())).fit(),
        bm.ModelSpec("log_radon ~ . + (1 | county)", {name: data[name].tolist() for name in data}).fit(),
        bm.ModelSpec("log_radon ~ numpy.exp(log_uranium) + (1 | county)", data).fit(),
    ]
    for fit in fits:
        fit.save(tmp_path / "fit")
        assert_same(bm.load(tmp_path / "fit"), fit, data.head(4).assign(weights=1.0))


def test_weights_changed_after_the_fit_are_those_of_the_fit(tmp_path):
    given = weights()
    fit = bm.ModelSpec(RADON, bm.load_dataset("radon"), weights=given).fit()
    given[:] = 1.0
    fit.save(tmp_path / "fit")
    np.testing.assert_array_equal(bm.load(tmp_path / "fit").fitted, fit.fitted)


def test_groups_in_statsmodels_words_come_back(tmp_path):
    data = bm.load_dataset("sleepstudy")
    labels = data["Subject"].astype(str).rename("person")
    fits = [
        bm.ModelSpec.from_groups("Reaction ~ Days", data, groups=labels, re_formula="~ Days").fit(),
        bm.ModelSpec.from_groups(
            "Reaction ~ Days", data, groups="Subject", vc_formula={"early": "0 + C(Days < 3)"}
        ).fit(),
    ]
    new = data.head(3).assign(person=labels[:3])
    for fit in fits:
        fit.save(tmp_path / "fit")
        assert_same(bm.load(tmp_path / "fit"), fit, new)


def test_models_given_as_arrays_come_back(tmp_path):
    data = bm.load_dataset("sleepstudy")
    X = np.column_stack([np.ones(len(data)), data["Days"]])
    basis = np.random.default_rng(2).normal(size=(len(data), 4))
    y = data["Reaction"].set_axis(np.arange(1000, 1180)).mask(data["Days"].to_numpy() == 5)
    groups = pd.Series(data["Subject"].to_numpy(), y.index, name="who")
    weights = 1.0 + (data["Days"].to_numpy() > 4)
    fit = bm.ModelSpec.from_arrays(
        y, X, groups, exog_re=X, exog_vc={"basis": basis}, fixef_names=["one", "day"], weights=weights
    ).fit()
    fit.save(tmp_path / "arrays")
    new = {"exog": X[:5], "groups": groups[:5], "exog_re": X[:5], "exog_vc": {"basis": basis[:5]}}
    assert_same(bm.load(tmp_path / "arrays"), fit, {**new, "weights": np.ones(5)})
    only = bm.ModelSpec.from_arrays(
        data["Reaction"], X, exog_vc={"basis": pd.DataFrame(basis, columns=[*"abcd"])}
    )
    fit = only.fit()
    fit.save(tmp_path / "arrays")
    loaded = bm.load(tmp_path / "arrays")
    assert_same(loaded, fit, {"exog": X[:2], "exog_vc": {"basis": basis[:2]}})
    assert loaded.ranef["basis"].index.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(bm.DataError, match="given as arrays, so that there are no columns="):
        fit.save(tmp_path / "arrays", columns=["x"])


def test_boundary_and_confounded_fits_come_back(tmp_path):
    data = bm.load_dataset("dyestuff2")
    data["Copy"] = data["Batch"].astype(str) + "x"
    singular = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", data).fit()
    with pytest.warns(bm.IdentificationWarning):
        confounded = bm.ModelSpec(
            "Y ~ 1 + (1 | Batch) + (1 | Copy)", data.assign(Y=np.arange(30.0) ** 1.5)
        ).fit()
    for fit in (singular, confounded):
        fit.save(tmp_path / "fit")
        assert_same(bm.load(tmp_path / "fit"), fit, data.head(2))


def test_another_process_loads_without_data_and_without_unpickling(tmp_path):
    fit = bm.ModelSpec(RADON, bm.load_dataset("radon")).fit()
    fit.save(tmp_path / "radon.bimixed")
    code = """
import json, sys
def refuse(event, arguments):
    if event.startswith("pickle.") and loading:
        raise SystemExit(event)
loading = False
import bimixed as bm
from bimixed.saving.formulas import check_formulas
bm.ModelSpec("y ~ 1 + (1 | g)", {"y": [1, 2, 3, 4.5, 5, 6], "g": list("aabbcc")}).fit()
sys.addaudithook(refuse)
loading = True
fit = bm.load(sys.argv[1])
loading = False
new = {"floor": [0, 1], "log_uranium": [0.1, 0.2], "county": ["AITKIN", "nowhere"]}
print(json.dumps(fit.predict(new, new_levels="population")["estimate"].tolist()))
"""
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "radon.bimixed")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    new = {"floor": [0, 1], "log_uranium": [0.1, 0.2], "county": ["AITKIN", "nowhere"]}
    here = fit.predict(new, new_levels="population")["estimate"]
    np.testing.assert_allclose(json.loads(shown.stdout), here, rtol=1e-12)


def test_functions_have_to_be_given_again(tmp_path):
    data = bm.load_dataset("radon")
    fit = bm.ModelSpec("log_radon ~ floor + cube(log_uranium) + (1 | county)", data).fit()
    path = tmp_path / "fit"
    fit.save(path)
    with pytest.raises(bm.DataError, match=r"uses cube \(a function\).*context=\{\"cube\": cube\}"):
        bm.load(path)
    assert_same(bm.load(path, context={"cube": cube}), fit, data.head(3))
    with pytest.raises(bm.DataError, match=r"fitted values that are up to .* must be those of the fit"):
        bm.load(path, context={"cube": np.abs})


def test_further_columns_are_kept_when_asked_for(tmp_path):
    data = bm.load_dataset("insteval").head(2000).assign(unused=1.0)
    fit = bm.ModelSpec("y ~ service + (1 | d)", data).fit()
    fit.save(tmp_path / "few")
    fit.save(tmp_path / "more", columns=["dept", "s"])
    more = bm.load(tmp_path / "more").spec
    assert more.update(". ~ . + (1 | s)").fit().loglik == fit.spec.update(". ~ . + (1 | s)").fit().loglik
    assert more.data_column("unused") is None
    with pytest.raises(bm.DataError, match="No column 's'"):
        bm.load(tmp_path / "few").spec.update(". ~ . + (1 | s)")
    with pytest.raises(bm.DataError, match="no column 'nothing' to keep"):
        fit.save(tmp_path / "more", columns=["nothing"])
    with pytest.raises(bm.DataError, match="no column 5"):
        fit.save(tmp_path / "more", columns=5)


def test_equal_results_give_equal_files(tmp_path):
    fit = dyestuff().fit()
    fit.save(tmp_path / "one")
    bm.load(tmp_path / "one").save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_interrupted_write_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "fit"
    first = dyestuff().fit()
    first.save(path)
    before = path.read_bytes()
    written = np.lib.format.write_array

    def stops(buffer, array, **how):
        written(buffer, array[: len(array) // 2], **how)
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", stops)
    with pytest.raises(KeyboardInterrupt):
        dyestuff(Yield=np.arange(30.0)).fit().save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["fit"]


def test_refits_and_objects_are_not_saved(tmp_path):
    fit = dyestuff().fit()
    with pytest.raises(bm.UnavailableError, match="A refit has no specification"):
        fit.refit(fit.spec.design.y[::-1].copy()).save(tmp_path / "refit")
    odd = dyestuff(Batch=[complex(i // 5, 1) for i in range(30)])
    odd.fit().save(tmp_path / "complex")
    dates = pd.Series([pd.Period(f"2020-0{1 + i // 5}") for i in range(30)])
    with pytest.raises(bm.DataError, match="can't hold column 'Batch'"):
        dyestuff(Batch=dates).fit().save(tmp_path / "period")
    assert not (tmp_path / "period").exists()


# --- files that are not what they should be ------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "fit"
    bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit().save(path)
    return path


def rewritten(saved, path, change):
    """The file with another document, checksums right."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == archive.DOCUMENT:
                document = json.loads(content)
                change(document)
                content = json.dumps(document).encode()
            new.writestr(name, content)
    return path


def test_newer_and_foreign_files_are_refused(saved, tmp_path):
    newer = rewritten(saved, tmp_path / "newer", lambda d: d.update(version=99, written_by="7.0"))
    with pytest.raises(bm.DataError, match=r"written by bimixed 7.0 in format 99; .* up to 1. Update"):
        bm.load(newer)
    other = rewritten(saved, tmp_path / "other", lambda d: d.update(format="something"))
    with pytest.raises(bm.DataError, match="of the format 'something'"):
        bm.load(other)
    (tmp_path / "text").write_text("Reaction,Days\n1,2\n")
    with pytest.raises(bm.DataError, match="is no saved result of bimixed"):
        bm.load(tmp_path / "text")
    with zipfile.ZipFile(tmp_path / "zip", "w") as content:
        content.writestr("a.txt", "a")
    with pytest.raises(bm.DataError, match="a zip file, but no saved result"):
        bm.load(tmp_path / "zip")
    with pytest.raises(FileNotFoundError, match="no file"):
        bm.load(tmp_path / "nothing")


def test_damaged_files_are_refused_or_give_the_same_numbers(saved, tmp_path):
    """200 single bytes changed, 40 cuts: never another error, never other numbers."""
    whole, fitted = saved.read_bytes(), bm.load(saved).fitted
    rng = np.random.default_rng(11)
    refused = 0
    for trial in range(240):
        content = bytearray(whole)
        place = int(rng.integers(len(whole)))
        if trial < 200:
            content[place] ^= int(rng.integers(1, 256))
        else:
            del content[place:]
        path = tmp_path / "damaged"
        path.write_bytes(content)
        try:
            got = bm.load(path).fitted
        except bm.DataError:
            refused += 1
        else:
            np.testing.assert_array_equal(got, fitted)
    assert refused > 150


def _without_column(document):
    del document["spec"]["recipe"]["data"]["columns"]["Days"]["values"]


def _other_values(document):
    columns = document["spec"]["recipe"]["data"]["columns"]
    columns["Days"], columns["Reaction"] = columns["Reaction"], columns["Days"]


def _other_theta(document):
    document["outcome"]["optimum"]["theta"] = document["outcome"]["fitted"]


def _array_too_far(document):
    document["outcome"]["fitted"]["array"] = 99


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_without_column, "damaged"),
        (_array_too_far, "damaged"),
        (_other_values, "fitted values that are up to"),
        (_other_theta, "theta has shape"),
        (lambda d: d["outcome"].update(loglik=0.0), "the log-likelihood -871"),
        (lambda d: d.pop("outcome"), "damaged"),
        (lambda d: d.update(version="two"), "damaged"),
    ],
)
def test_inconsistent_documents_are_refused(saved, tmp_path, change, error):
    with pytest.raises(bm.BimixedError, match=error):
        bm.load(rewritten(saved, tmp_path / "changed", change))


@pytest.mark.parametrize(
    "formula",
    [
        "Reaction ~ Days + I(__import__('os').mkdir('made')) + (Days | Subject)",
        "Reaction ~ Days + (Days | np.where(__import__('os').mkdir('made'), Subject, 1))",
        "I(__import__('os').mkdir('made')) ~ Days + (Days | Subject)",
    ],
)
def test_code_in_a_file_is_not_run(saved, tmp_path, monkeypatch, formula):
    monkeypatch.chdir(tmp_path)
    changed = rewritten(saved, tmp_path / "evil", lambda d: d["spec"]["recipe"].update(formula=formula))
    with pytest.raises(bm.DataError, match=r"uses '__import__'.*trust=True"):
        bm.load(changed)
    assert not Path("made").exists()
    with pytest.raises(bm.BimixedError):  # which shows that the formula would have run
        bm.load(changed, trust=True)
    assert Path("made").exists()


def test_arrays_of_objects_are_not_read(saved, tmp_path):
    """An .npy of objects is a pickle."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([{}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(tmp_path / "pickle", "w") as new:
        for name in old.namelist():
            new.writestr(name, buffer.getvalue() if name.endswith("0.npy") else old.read(name))
    with pytest.raises(bm.DataError, match=r"damaged .*Object arrays cannot be loaded"):
        bm.load(tmp_path / "pickle")


def test_a_dot_opens_nothing(tmp_path):
    """It is written out as columns: names that would end their quotes are refused, in tables and in files."""
    data = pd.DataFrame({"y": [1.0, 2.0, 3.0, 5.0] * 6, "x": range(24), "g": list("abcdef") * 4})
    name = f"x`+I(__import__('pathlib').Path({str(tmp_path / 'made')!r}).touch() or x)+`x"
    for formula in ("y ~ . + (1 | g)", "y ~ x + (. | g)"):
        with pytest.raises(bm.FormulaError, match="has a backtick"):
            bm.ModelSpec(formula, data.assign(**{name: data["x"]}))
    assert not (tmp_path / "made").exists()
    check_formulas(["y ~ ."], ["y", "x", "a b"], [])
    with pytest.raises(bm.DataError, match="trust=True"):
        check_formulas(["y ~ ."], ["y", "x", name], [])


def test_places_that_are_no_files(tmp_path):
    fit = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy")).fit()
    with pytest.raises(bm.DataError, match="which isn't there"):
        fit.save(tmp_path / "missing" / "f.bimixed")
    with pytest.raises(bm.DataError, match="is a folder"):
        fit.save(tmp_path)
    with pytest.raises(bm.DataError, match="is a folder"):
        bm.load(tmp_path)
