"""What tests of the whole repository share: modules of optional packages are left out without them."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("sklearn") else ["src/bimixed/estimator.py"]
