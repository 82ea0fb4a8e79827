"""The article's science, run again: a module a section, its jobs in two processes, one page of results.

    python -m benchmarks.reproduce [FOLDER] [--only NAME] [--quick]

`cells.py` says what a section is; a new one is a module here and its name in SECTIONS.
"""

from pathlib import Path

ORDER = ("regret", "alpha", "degradation", "changepoints", "losses", "digits")
SECTIONS = tuple(name for name in ORDER if (Path(__file__).parent / f"{name}.py").exists())
