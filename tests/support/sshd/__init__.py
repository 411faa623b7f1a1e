"""A board to test against: the system's own ssh server on a loopback port, which can be cut and brought back."""
