"""Benches: a target, a profiler, a benchmark and a report."""
