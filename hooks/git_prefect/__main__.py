"""`python -m git_prefect` is `git prefect`."""

import sys

from .cli import main

sys.exit(main())
