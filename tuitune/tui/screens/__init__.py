"""Screens other than the Workbench."""
