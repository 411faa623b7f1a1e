"""What spoils a measurement on a machine, and how to mend it."""
