"""Slow twins of the kernels: one key, plain Python, written from the descriptions."""
