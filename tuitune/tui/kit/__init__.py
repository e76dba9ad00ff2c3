"""The drawing kit: rows of spans, widgets that repaint only the rows that changed, titled panes."""
