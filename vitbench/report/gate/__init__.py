"""The verdicts of a gate in every form that somebody reads them in; baselines; histories."""
