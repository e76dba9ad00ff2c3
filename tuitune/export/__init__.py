"""Out of TuiTune: a tuned model as an ordinary folder that other programs load."""
