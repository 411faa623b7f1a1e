"""What devices with a POSIX shell have in common, whatever program reaches them."""
