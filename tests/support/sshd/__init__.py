"""A board to test against: the system's own ssh server on loopback, which can be cut and brought back."""
