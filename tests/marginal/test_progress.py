"""What long work says on standard error."""

import time

from bimixed.marginal import progress
from bimixed.marginal.progress import told_if_long


def test_only_what_takes_long_is_told(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    with told_if_long("quick", True):
        pass
    with told_if_long("not wanted", False):
        time.sleep(0.2)
    with told_if_long("long", True):
        time.sleep(0.2)
    assert capsys.readouterr().err == "long\n"
