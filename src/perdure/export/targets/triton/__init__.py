"""A model repository for NVIDIA's Triton Inference Server, and a manifest for KServe."""

from ._target import TRITON as TRITON
