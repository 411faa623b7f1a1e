"""A GPU, its driver and TensorRT, made up: all that they compute is real, all that they time is not.

Put on the path of a Python (see `interpreter.py`), this directory gives it a package `tensorrt` and a
`libcuda.so.1`. Nothing in it needs more than Python 3.8, but networks in ONNX.

VITBENCH_STAND_IN_TENSORRT   version to play, 10.3.0 unless it is set
VITBENCH_STAND_IN_FAILS      what goes wrong: no-gpu, import, build-crash, build-hangs, build-refused,
                             build-memory, build-killed, crash-at-end, capture
"""
