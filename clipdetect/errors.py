"""What can go wrong, as types. `cli/__init__.py` turns them into exit codes, and nothing else does.

    ClipdetectError             1   failed while running
    |-- InputError              1   a file cannot be read, or a record under `--on-error fail`
    |-- OutputError             1   the output cannot be written (full disk)
    |-- StateError              1   a state file is damaged, of another configuration, or not writable
    `-- ConfigError             2   wrong option, name, value or configuration file
        `-- FieldsError         2   fields that a component cannot take; a ValueError too

Components raise plain `ValueError`; the configuration layer adds where it happened.
"""

from __future__ import annotations


class ClipdetectError(Exception):
    """Root of all errors that are reported as one line and an exit code."""

    exit_code = 1


class InputError(ClipdetectError):
    """Input that cannot be read: the message says file, line and what to do."""


class OutputError(ClipdetectError):
    """Output that cannot be written."""


class StateError(ClipdetectError):
    """A state file that is damaged, belongs to another configuration, or cannot be written."""


class ConfigError(ClipdetectError):
    """A wrong flag, name, value or configuration file."""

    exit_code = 2


class FieldsError(ConfigError, ValueError):
    """Fields that a component cannot take, found out when they appear."""
