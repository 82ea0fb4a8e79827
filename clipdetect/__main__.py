"""`python -m clipdetect` is the command."""

from clipdetect.cli import command

if __name__ == "__main__":
    command()
