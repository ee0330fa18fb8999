"""Kernels per core class, specialised by shape: layers in, assembly or C out."""
