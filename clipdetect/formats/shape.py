"""The shape of a text: what is left of a log line without its variable parts.

Word by word, by rules that look at the text alone, so the shape of a line is the same in every run, wherever the
stream begins or is cut. A learned tree of templates (drain3) groups lines by what came before them instead: it
finds variables that look like plain words, and its groups change as it learns. `benchmarks/shapes.py` compares.
"""

from __future__ import annotations

import re

VARIABLE = "<*>"
MOST_WORDS = 1 << 14  # words whose answer is remembered
LONGEST = 64  # characters of a word that is remembered

_OPEN = r"[(\[{<'\"]*+"  # possessive, as all that could give back what it took to no avail: the cost is linear
_DOMAINS = (
    "com|net|org|edu|gov|mil|int|info|biz|io|dev|app|cloud|local|localdomain|internal|lan|intranet|arpa|"
    "ar|at|au|be|bg|br|ca|ch|cl|cn|co|cz|de|dk|es|eu|fi|fr|gr|hk|hu|ie|il|in|ir|it|jp|kr|lt|lv|mx|my|nl|no|nz|"
    "pk|pt|ro|rs|ru|se|sg|sk|th|tr|tv|tw|ua|uk|us|vn|za"
)
# A word that a form fits is variable, but for the key in its group.
_FORMS = (
    rf"({_OPEN}[A-Za-z_][\w.\-]*+=)",  # key=value, key=
    rf"({_OPEN}[A-Za-z_\-]{{2,}}+(?::++|\.\.++))[^:0-9]*+[0-9][^:]*+\Z",  # key:12, key....12; not a hardware address
    r"[^0-9]*+[0-9]",  # whatever has a digit: numbers, addresses, identifiers, times, sizes
    rf"{_OPEN}(?:[.~]{{0,2}}/.|[A-Za-z]++://|[A-Za-z]:\\|\\\\)",  # paths and URLs
    r"'[^']*+'[.,;:]?\Z|\"[^\"]*+\"[.,;:]?\Z",  # one word in quotes
    r"\(\)[.,;:]?\Z",  # where a variable is empty
    rf"{_OPEN}(?:[\w\-]++\.)+(?:{_DOMAINS})\.?[:)\]}}>,;'\"]*+\Z",  # names of hosts
)
_VARIABLE = re.compile("|".join(_FORMS))
_DATE = "Mon Tue Wed Thu Fri Sat Sun Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_USER = re.compile(r"\b(for|by|[Ii]nvalid|[Uu]nknown|[Ii]llegal) user \S+")
_FOR = re.compile(r"\bfor \S+ from\b")
_RUN = re.compile(r"<\*>(?: <\*>)+")

_words: dict[str, str] = {}


def shape(text: str) -> str:
    """The text with `<*>` for each variable word or run of them, words one blank apart. About 2.5 us a line.

    Variable is what has a digit, the value in key=value, a path, a URL, a host name, one word in quotes, a day or
    month, and the name in `for user NAME`, `invalid user NAME` and `for NAME from`.

    >>> shape("Failed password for invalid user bob from 10.0.0.9 port 4711 ssh2")
    'Failed password for invalid user <*> from <*> port <*>'
    """
    known = _words.get
    line = " ".join([known(word) or _word(word) for word in text.split()])
    if " user " in line:
        line = _USER.sub(r"\1 user <*>", line)
    if " from " in line:
        line = _FOR.sub("for <*> from", line)
    if "<*> <*>" in line:
        line = _RUN.sub(VARIABLE, line)
    return line


def _word(word: str) -> str:
    """What stands for one word in a shape; remembered."""
    found = _VARIABLE.match(word)
    own = word if found is None else (found[found.lastindex] if found.lastindex else "") + VARIABLE
    if len(word) <= LONGEST:
        if len(_words) >= MOST_WORDS:
            _start()
        _words[word] = own
    return own


def _start() -> None:
    _words.clear()
    _words.update(dict.fromkeys(_DATE.split(), VARIABLE))


_start()
