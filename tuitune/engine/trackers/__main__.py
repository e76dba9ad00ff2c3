"""`python -m tuitune.engine.trackers RUN NAME ATTEMPT PID`: started by the engine, one for each tracker."""

import sys

from tuitune.engine.trackers.process import main

sys.exit(main(sys.argv[1:]))
