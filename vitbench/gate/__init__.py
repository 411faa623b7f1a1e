"""The regression gate: baselines, verdicts and calibration. Pure, but for the files of `baseline` and `shelf`."""
