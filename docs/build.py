"""Runs the commands shown in README.md and docs/, and writes their output into the pages.

    python docs/build.py [PAGE]...           rewrite the pages, or those named
    python docs/build.py --check [PAGE]...   compare only; exit code 1 and a diff where a page is stale

A page has three kinds of marks. After `<!-- run: COMMAND -->` stands a fenced block with the command
and what it prints to stdout (2>&1 adds stderr); `run 2:` expects exit code 2. After
`<!-- screen 3: COMMAND -->` stand the first 3 lines that it writes to a terminal. Between
`<!-- each: KIND -->` and `<!-- end -->` stands a section for every command, recipe, or component of
a kind, and for the kind `setting` a table, so that a new one needs no edit here.

Commands run in a folder that has `sample_data` and `docs` as the root has them, one folder a page
and in the page's order: what one writes the next can read, and nothing is left in the tree.
`clipdetect` is the package beside this file, under the Python that runs it.
"""

from __future__ import annotations

import difflib
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from clipdetect import registry  # noqa: E402  (after the path to it)
from clipdetect.cli import COMMANDS  # noqa: E402
from clipdetect.settings import SETTINGS, default_in_words, flag, key, recipes, variable  # noqa: E402

LINKED = ("sample_data", "docs")
MARK = re.compile(r"^<!-- (run|screen)(?: (\d+))?: (.+?) -->\n(?:```console\n.*?^```\n)?", re.MULTILINE | re.DOTALL)
EACH = re.compile(r"^<!-- each: (\w+) -->\n.*?^<!-- end -->\n", re.MULTILINE | re.DOTALL)
SUBCOMMANDS = ("config check",)
START = (sys.executable, "-m", "clipdetect")


def pages() -> list[Path]:
    """Every page with marks."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def built(page: Path, start: Sequence[str] = START) -> str:
    """The page with fresh output. Raises RuntimeError where a command fails.

    start : the words that `clipdetect` stands for.
    """
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        environment = _environment(Path(folder), start)
        work = Path(folder, "work")
        work.mkdir()
        for name in LINKED:
            (work / name).symlink_to(ROOT / name)

        def block(command: str, code: int = 0) -> str:
            return f"```console\n$ {command}\n{output(command, code, work, environment)}```\n"

        def mark(match: re.Match[str]) -> str:
            kind, number, command = match.groups()
            head = match[0].partition(" -->\n")[0] + " -->\n"
            return head + (screen(command, int(number or 10)) if kind == "screen" else block(command, int(number or 0)))

        def screen(command: str, most: int) -> str:
            lines = on_screen(command, work, environment).splitlines()
            shown = [*lines[:most], *(["..."] if len(lines) > most else [])]
            return f"```console\n$ {command}\n" + "".join(line + "\n" for line in shown) + "```\n"

        def section(match: re.Match[str]) -> str:
            if match[1] == "setting":
                return f"<!-- each: setting -->\n\n{settings_table()}\n<!-- end -->\n"
            parts = [f"### {title}\n\n{block(command)}\n" for title, command in sections(match[1])]
            return f"<!-- each: {match[1]} -->\n\n{''.join(parts)}<!-- end -->\n"

        text = EACH.sub(section, text)
        return MARK.sub(mark, text)


def sections(kind: str) -> list[tuple[str, str]]:
    """Title and command of each section of a kind: `command`, `estimator`, `threshold`, ..."""
    if kind == "command":
        commands = [("clipdetect" if name == "score" else f"clipdetect {name}") for name in COMMANDS]
        commands += [f"clipdetect {name}" for name in SUBCOMMANDS]
        return [(f"`{each}`", f"{each} --help") for each in commands]
    names = list(recipes()) if kind == "recipe" else registry.names(kind)
    return [(f"`{name}`", f"clipdetect list {name}") for name in names]


def settings_table() -> str:
    """Every setting by its names, with what it takes and its default."""
    rows = ["| in YAML | option | variable | takes | default |", "| --- | --- | --- | --- | --- |"]
    for name, own in SETTINGS.items():
        option = f"`-{own.short}`, `{flag(name)}`" if own.short else f"`{flag(name)}`"
        takes = (own.metavar or "true|false").replace("|", "\\|")
        rows.append(f"| `{key(name)}` | {option} | `{variable(name)}` | {takes} | {default_in_words(name)} |")
    return "".join(row + "\n" for row in rows)


def output(command: str, code: int, folder: Path, environment: dict[str, str]) -> str:
    """What a shell command prints, ending with a newline. Raises RuntimeError for another exit code than `code`."""
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode != code:
        raise RuntimeError(f"{command}: exit code {done.returncode}: {done.stderr.decode(errors='replace')}")
    lines = [line.rstrip() for line in done.stdout.decode().splitlines()]
    return "".join(line + "\n" for line in lines)


def on_screen(command: str, folder: Path, environment: dict[str, str]) -> str:
    """What a shell command writes to a terminal without colours. Raises RuntimeError where it fails."""
    mine, its = pty.openpty()
    process = subprocess.Popen(
        ["sh", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=its,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(its)
    parts = []
    with os.fdopen(mine, "rb", buffering=0) as terminal:
        try:
            while part := terminal.read(1 << 16):
                parts.append(part)
        except OSError:  # how some systems say that the other end is closed
            pass
    if process.wait():
        raise RuntimeError(f"{command}: exit code {process.returncode}")
    return b"".join(parts).replace(b"\r\n", b"\n").decode()


def _environment(folder: Path, start: Sequence[str]) -> dict[str, str]:
    """An environment of its own: `clipdetect` is found, nothing of the user's settings is."""
    command = folder / "clipdetect"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(start)} "$@"\n')
    command.chmod(0o755)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CLIPDETECT_", "COLUMNS", "PYTHON"))
    }
    path = os.pathsep.join([str(folder), kept.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}


def difference(page: Path, new: str) -> str:
    """A diff from what the page holds to what it would be; empty where it is fresh."""
    old, name = page.read_text(encoding="utf-8"), str(page.relative_to(ROOT))
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, "what it would be", lineterm="", n=1)
    return "\n".join(lines)


def main(check: bool, names: Sequence[str]) -> int:
    """Build or compare these pages, or every page. Exit code 1 where one was compared and is stale."""
    stale = False
    for page in [Path(name).resolve() for name in names] or pages():
        new = built(page)
        found = difference(page, new)
        stale = stale or bool(found)
        if check:
            print(found, end="\n" if found else "")
        elif found:
            page.write_text(new, encoding="utf-8")
            print(f"{page.relative_to(ROOT)}: rewritten")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:], [each for each in sys.argv[1:] if each != "--check"]))
