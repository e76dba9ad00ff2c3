"""A conversation with a model on this machine, or with the weights of a live run."""
