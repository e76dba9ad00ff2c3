"""The terminal application: panes over one recipe, one run and one machine. Nothing here imports torch."""
