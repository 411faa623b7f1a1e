"""Benchmarks of vitbench itself: ratios of things timed in turn, never absolute times."""
