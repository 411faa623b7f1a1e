#!/bin/sh
# Gate this commit, on any machine that has Python. Exit codes: 0 pass, 1 regression, 2 usage,
# 3 inconclusive or not measured, 4 target unreachable, 5 a tool on the device failed.
set -u
vitbench gate --baseline "${BASELINE:-main}" --junit gate.xml --markdown gate.md "$@"
code=$?
case $code in
  0) echo "gate: pass" ;;
  1) echo "gate: REGRESSION, see gate.md" ;;
  3) echo "gate: nothing could be shown, see gate.md; run it again on a quieter machine" ;;
  *) echo "gate: could not be run (exit code $code)" ;;
esac
exit $code
