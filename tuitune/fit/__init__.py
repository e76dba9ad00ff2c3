"""What a model needs and what this machine has: sizes, places, limits. No torch."""
