"""Pages in a real browser: they fit their window at two widths, load nothing, and say nothing odd."""

from collections import Counter
from itertools import pairwise

import pytest
from browser import MEASURE, look_at
from odd_names import COVARIATE, GROUP

WIDTHS = (400, 1200)


@pytest.fixture(scope="module")
def seen(pages, tmp_path_factory):
    return look_at(pages, tmp_path_factory.mktemp("browser"), WIDTHS)


def test_nothing_is_wider_than_the_window(seen):
    measured, _ = seen
    for key, found in measured.items():
        assert found["wide"] == key[1]
        assert found["scroll"] <= found["wide"], key
        assert not found["out"], (key, found["out"])


def test_the_console_is_silent(seen):
    assert seen[1] == []


def test_pictures_are_shown_and_told(seen):
    measured, _ = seen
    least = {"reml": 7, "nuts": 8, "both": 5, "singular": 4, "odd": 7}
    for (name, _), found in measured.items():
        assert found["images"] >= least[name]
        assert found["broken"] == found["narrow"] == found["noalt"] == 0


def test_nothing_is_loaded_and_nothing_runs(seen):
    measured, _ = seen
    for found in measured.values():
        assert found["loaded"] == []
        assert found["scripts"] == found["foreign"] == 0


def test_links_lead_to_sections_and_names_are_unique(seen):
    measured, _ = seen
    for found in measured.values():
        assert max(Counter(found["ids"]).values()) == 1
        assert found["links"] and {link.removeprefix("#") for link in found["links"]} <= set(found["ids"])
        levels = [int(tag[1]) for tag, _ in found["headings"]]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_equations_are_set(seen):
    measured, _ = seen
    for found in measured.values():
        assert len(found["math"]) == 1 and found["mathsize"][0] > 40.0
    assert "log_radoni=β0+β1floori+β2log_uraniumi+u0,county[i]" in measured["reml", 1200]["math"][0]


def test_names_from_the_data_are_text(seen):
    measured, _ = seen
    text = measured["odd", 1200]["text"]
    assert COVARIATE in text and GROUP in text
    assert "<img src=x onerror=alert(308)>" in text


def test_dark_pages_have_light_ink(pages, tmp_path):
    measured, console = look_at({"reml": pages["reml"]}, tmp_path, (400,), dark=True)
    light = [int(part) for part in measured["reml", 400]["color"].strip("rgb()").split(",")]
    dark = [int(part) for part in measured["reml", 400]["background"].strip("rgb()").split(",")]
    assert min(light) > 200 and max(dark) < 60
    assert console == []


def test_the_measurement_finds_what_it_is_for(tmp_path):
    """A page with a table too wide, a broken picture, a script and an error."""
    bad = (
        '<!DOCTYPE html><html><body style="margin:0"><main><div style="width:2000px">wide</div>'
        '<img src="data:image/png;base64,AAAA"><script>throw new Error("loud")</script></main></body></html>'
    )
    assert MEASURE not in bad
    measured, console = look_at({"bad": bad}, tmp_path, (400,))
    found = measured["bad", 400]
    assert found["scroll"] >= 2000 and found["out"]
    assert found["broken"] == found["noalt"] == found["scripts"] == 1
    assert any("loud" in line for line in console)
