"""Models behind an OpenAI-style interface."""
