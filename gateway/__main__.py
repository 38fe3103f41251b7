"""`python -m gateway` is the command zhiwang."""

import sys

from gateway.cli import main

sys.exit(main())
