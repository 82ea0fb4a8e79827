"""Fuzzing of the whole command: streams of every format, ordinary and hostile, held against what must be true of any.

    python -m tests.fuzz --lines 100000 --seed 1

`material` makes words and numbers, `*_streams` whole streams of them, `flags` how they are read and written, `reading`
says what such a stream must be read as, `checks` and `converted` what must come out, `laws` what must not change it.
"""
