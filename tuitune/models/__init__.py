"""Models made ready, loaded, and run without padding."""
