"""The state of an Android phone: what it is, which cores it has, how warm it is, and what throttles it.

Every module reads text that a phone printed; what a phone does not tell is None, never a guess.
`vitbench.android.state.read` asks for all of it in one round trip.
"""
