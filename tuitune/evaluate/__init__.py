"""Is the tuned model better: scores, predictions and benchmarks, with intervals."""
