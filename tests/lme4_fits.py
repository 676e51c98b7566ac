"""The reference fits by lme4, and ours of the same models."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

import bimixed as bm

HERE = Path(__file__).parent / "reference"
REFERENCE = json.loads((HERE / "lme4_nlme.json").read_text())
FITS = {fit["id"]: fit for fit in REFERENCE["fits"] if fit["kind"] == "lmm"}


@cache
def data_set(name: str) -> pd.DataFrame:
    info = REFERENCE["datasets"][name]
    table = pd.read_csv(HERE / info["file"])
    for column in info["factors"]:
        if info["factors"][column]["csv_type"] == "integer":
            width = len(str(table[column].max()))
            table[column] = table[column].map(lambda v, w=width: f"{v:0{w}d}")
        table[column] = table[column].astype("category")
    return table


@cache
def fitted(fit_id: str) -> bm.MixedModelResult:
    fit = FITS[fit_id]
    spec = bm.ModelSpec(
        fit.get("formula_python") or fit["formula"],
        data_set(fit_id.split("/", maxsplit=1)[0]),
        weights=fit.get("weights"),
        offset=fit.get("offset"),
        context={"np": np},
    )
    return spec.fit(method=fit["method"].lower())
