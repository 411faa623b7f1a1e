"""Comparisons as tables, sentences and data: the same rows behind every format."""
