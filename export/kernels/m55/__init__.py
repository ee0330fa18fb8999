"""Kernels for the MVE class (Cortex-M55): Helium assembly, and C that calls it.

Inputs lie at multiples of 4 bytes, as the memory plan places every tensor.
"""
