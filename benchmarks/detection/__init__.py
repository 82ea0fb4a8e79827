"""Detection on public labelled streams, through the command line, beside detectors from PyPI."""
