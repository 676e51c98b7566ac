"""Data whose names of columns and levels are HTML, and levels formulas and control characters too."""

import numpy as np

import bimixed as bm

RESPONSE, COVARIATE, GROUP = 're "act" <b>&amp;</b>', "days & <script>throw 1</script>", "sub'ject\"s </td>"
FORMULA = f"`{RESPONSE}` ~ `{COVARIATE}` + (`{COVARIATE}` | `{GROUP}`)"


def odd_data():
    """sleepstudy, one response missing."""
    data = bm.load_dataset("sleepstudy")
    data.columns = [RESPONSE, COVARIATE, GROUP]
    data[GROUP] = [f"<img src=x onerror=alert({label})> $\\frac$ --\a" for label in data[GROUP]]
    data.iloc[3, 0] = np.nan
    return data
