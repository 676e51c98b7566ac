"""Specifications, results and priors survive pickling and copying."""

import copy
import pickle

import numpy as np
import pytest

import bimixed as bm

FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.mark.parametrize("again", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy, copy.copy])
def test_results_and_specifications(again):
    data = bm.load_dataset("sleepstudy")
    priors = {"Days": bm.Prior("normal", mu=0, sigma=50)}
    spec = bm.ModelSpec(FORMULA, data, priors=priors)
    fit = spec.fit()
    same, same_spec = again(fit), again(spec)
    assert same.loglik == fit.loglik
    np.testing.assert_array_equal(same.vcov, fit.vcov)
    np.testing.assert_array_equal(same.conf_int(), fit.conf_int())
    interval = {"interval": "prediction", "new_levels": "sample"}
    new = data.head(5).assign(Subject="new")
    np.testing.assert_array_equal(same.predict(new, **interval), fit.predict(new, **interval))
    y = data["Reaction"] + np.arange(len(data))
    assert same.refit(y).loglik == fit.refit(y).loglik
    assert same_spec.fit().loglik == fit.loglik
    assert same_spec.priors["Days"] == priors["Days"]
    with pytest.raises(AttributeError, match="can't be changed"):
        same_spec.design = None
