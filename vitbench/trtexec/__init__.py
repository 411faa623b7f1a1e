"""TensorRT's `trtexec`: how each version of it is commanded, and what its log and its files mean.

Its "Latency" is the sum of three intervals that the GPU's events bound: input copied in, computed, output
copied out. Time that a request waits between them is in none of the three.
"""
