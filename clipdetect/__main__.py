"""`python -m clipdetect` is the command."""

import sys

from clipdetect.cli import main

if __name__ == "__main__":
    sys.exit(main())
