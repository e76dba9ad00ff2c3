"""What every face of a run shares: hosts of the engine, the picture of a run, its words, and how it is begun."""
