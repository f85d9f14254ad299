"""`python -m sockwright`: the command, where its script is not on the PATH."""

from __future__ import annotations

import sys

from sockwright.cli import main

if __name__ == "__main__":
    sys.exit(main())
