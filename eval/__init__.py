"""Benchmarks, metrics and speed measurements."""
