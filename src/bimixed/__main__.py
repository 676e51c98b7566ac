"""``python -m bimixed``."""

import sys

from bimixed.cli import main

sys.exit(main())
