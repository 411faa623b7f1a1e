"""TensorFlow Lite's `benchmark_model`: how it is commanded, and what its answers mean.

Two programs have that name: TFLite's own (dialect `tflite`) and LiteRT's (dialect `litert`). Both time the
inference alone, without the copies of its input and output, and tell statistics instead of samples.
"""
