"""Trackers: each in a process of its own that follows the journal, so that none can slow, stall or end a training."""
