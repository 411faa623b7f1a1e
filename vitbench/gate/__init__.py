"""The regression gate: baselines, verdicts and calibration."""
