"""TFLite: float32 for one observation, run by LiteRT."""

from ._target import TFLITE as TFLITE, TFLITE_FLOAT16 as TFLITE_FLOAT16, TFLITE_INT8 as TFLITE_INT8
