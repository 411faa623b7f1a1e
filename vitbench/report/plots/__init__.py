"""Plots of runs and comparisons: what to draw, drawn by matplotlib (extra `[plots]`) or in letters."""
