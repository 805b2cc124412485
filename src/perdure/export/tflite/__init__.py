"""TFLite: float32 for one observation, run by LiteRT."""
