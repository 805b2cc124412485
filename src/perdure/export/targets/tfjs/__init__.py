"""TensorFlow.js: a graph model (model.json and one file of weights) written without TensorFlow."""

from ._target import TFJS as TFJS
