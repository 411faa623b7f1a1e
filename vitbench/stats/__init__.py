"""Pure functions over numbers: intervals, tails, robust estimates. No files, no clocks, no torch."""
