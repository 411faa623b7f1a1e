"""What an attention study compares: grids of tokens, and blocks widened to equal MACs.

Planning only: nothing is timed, and torch is imported when MACs are counted.
"""
