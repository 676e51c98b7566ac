import pytest

import bimixed as bm

SHAPES = {
    "radon": (919, 4),
    "sleepstudy": (180, 3),
    "score_parentedu": (60, 3),
    "dyestuff": (30, 2),
    "dyestuff2": (30, 2),
    "orthodont": (108, 4),
    "rat_pup": (322, 6),
    "insteval": (73421, 7),
    "nested": (40000, 3),
    "crossed": (40000, 3),
}


@pytest.mark.parametrize("name", SHAPES)
def test_bundled_data(name):
    data = bm.load_dataset(name)
    assert data.shape == SHAPES[name]
    assert data.notna().all().all()
    assert bm.load_dataset(name) is not data


def test_radon_counties():
    data = bm.load_dataset("radon")
    assert data["county"].nunique() == 85
    assert (data.groupby("county")["log_uranium"].nunique() == 1).all()
