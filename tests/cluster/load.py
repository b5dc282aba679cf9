"""How hard and how long: a little in every run of the tests, all of it with `make soak`."""

import os

SOAK = bool(os.environ.get("SOAK"))
RATE = 1000.0 if SOAK else 150.0
FREEZE = 20.0 if SOAK else 5.0
CUT = 30.0 if SOAK else 6.0
CALM = 5.0 if SOAK else 1.0
