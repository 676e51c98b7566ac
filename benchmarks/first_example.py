"""The first example of the README, as a script: what an installation has to run (``make dist``)."""

import bimixed as bm

spec = bm.ModelSpec("log_radon ~ floor + log_uranium + (1 + floor | county)", bm.load_dataset("radon"))
reml, nuts = spec.fit(method="reml"), spec.fit(method="nuts", random_seed=1)
print(bm.__version__, bm.__file__)
print(bm.compare(reml, nuts))
