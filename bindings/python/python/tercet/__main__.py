"""`python -m tercet` is the command `tercet`."""

import sys

from ._command import main

sys.exit(main())
