"""The panes of the Workbench."""
