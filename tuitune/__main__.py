"""`tuitune` and `python -m tuitune`."""

from __future__ import annotations

import sys

from tuitune.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
