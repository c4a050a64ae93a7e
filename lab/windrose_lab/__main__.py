"""`python -m windrose_lab` is the same as `lab/lab` once the packages are there."""

import sys

from windrose_lab.main import main

sys.exit(main())
