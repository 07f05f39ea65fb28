"""Benchmarks as they are evaluated: their files, their questions with truth, and what is odd about them."""
