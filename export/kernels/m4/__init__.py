"""Kernels for cores with packed 16-bit arithmetic: Cortex-M4F, M7 and M33."""
