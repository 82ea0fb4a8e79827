"""JSON: lines, arrays, documents, the journal."""

from __future__ import annotations

from tests.fuzz.material import START, Material
from tests.fuzz.streams import Stream, hostility, maker

USUAL = 40  # records at the beginning that are ordinary, so that most streams are about something
BLANKS = ("", " ", "\t", " \r")


class Records:
    """JSON objects of one stream: a few fields that most of them have, and what strays in."""

    def __init__(self, material: Material) -> None:
        self.material = material
        random = material.random
        self.keys = [f"k{i}" for i in range(3)] + ([material.odd_text()] if random.random() < 0.5 else [])
        self.states = [material.text().split()[0] for _ in range(3)]
        self.states += [material.odd_text() for _ in range(random.choice((0, 0, 1, 3)))]
        self.odd = list(dict.fromkeys(material.odd_name() for _ in range(random.choice((0, 0, 1, 2, 4)))))
        self.hostile, self.torn = hostility(material), hostility(material) / 2
        self.news = random.random() < 0.1  # a new name in every record
        self.long_clock = random.random() < 0.5

    def members(self, i: int) -> dict[str, str]:
        """The JSON text of each member of an ordinary record."""
        material, random = self.material, self.material.random
        moment = int(START.timestamp()) + 7 * i
        found = {
            "x": material.number(),
            "y": str(random.randrange(50)) if random.random() < 0.95 else random.choice(('"n/a"', "null", "true")),
            "s": material.quoted(random.choice(self.states)),
            "k": material.quoted(random.choice(self.keys)),
            "a": f'{{"b":{material.number(5.0)},"c":{material.quoted(random.choice(self.states))}}}',
            "t": str(moment) if self.long_clock else f'"2026-03-04T{i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}Z"',
            "l": "1" if random.random() < 0.01 else "0",
        }
        for j, name in enumerate(self.odd):
            found.setdefault(name, material.number() if j % 2 == 0 else material.quoted(random.choice(self.states)))
        if random.random() < 0.1:
            found.pop(random.choice(list(found)))
        return found

    def record(self, i: int) -> bytes:
        """Record i: ordinary, strange, or torn."""
        material, random = self.material, self.material.random
        pairs = list(self.members(i).items())
        if self.news:
            pairs.append((material.new_name(i), material.number()))
        strange = i >= USUAL and material.chance(self.hostile)
        if strange:
            for _ in range(random.randrange(1, 4)):
                self._change(pairs)
        line = self._spelled(pairs, random.random() < 0.1 if strange else False)
        if i >= USUAL and material.chance(self.torn):
            line = material.mutated(line)
        if strange and random.random() < 0.05:
            line = random.choice(
                (b"", b" ", b"\r", b"\xef\xbb\xbf", b"[]", b"3", b"{}", b" { } ", b"null", line + line, line + b"\r")
            )
        return line

    def _change(self, pairs: list[tuple[str, str]]) -> None:
        """Another value, another name, a member more, one twice, another order."""
        material, random = self.material, self.material.random
        at, kind = random.randrange(len(pairs)), random.randrange(6)
        if kind == 0:
            pairs[at] = (pairs[at][0], material.value())
        elif kind == 1:
            pairs[at] = (material.odd_name(), pairs[at][1])
        elif kind == 2:
            pairs.insert(at, (material.odd_name(), material.value()))
        elif kind == 3:
            pairs.append((pairs[at][0], material.value()))
        elif kind == 4:
            random.shuffle(pairs)
        else:
            pairs[at] = (pairs[at][0], material.broken_number() if material.chance(0.1) else material.odd_number())

    def _spelled(self, pairs: list[tuple[str, str]], loose: bool) -> bytes:
        random = self.material.random

        def blank() -> str:
            return random.choice(BLANKS) if loose else ""

        text = ",".join(f"{blank()}{self.material.quoted(name)}{blank()}:{blank()}{value}" for name, value in pairs)
        return f"{blank()}{{{text}}}{blank()}".encode()


@maker("jsonl")
def lines(material: Material, n: int, name: str) -> Stream:
    """JSON Lines."""
    records = Records(material)
    made = [records.record(i) for i in range(n)]
    return Stream(
        name,
        made,
        head=b"\xef\xbb\xbf" if material.chance(0.05) else b"",
        between=b"\r\n" if material.chance(0.05) else b"\n",
        tail=b"" if material.chance(0.1) else b"\n",
        numbers=["x", "y", "a.b", *records.odd[::2]],
        texts=["s", "k", "a.c", *records.odd[1::2]],
        times=["t"],
    )


@maker("journald")
def journal(material: Material, n: int, name: str) -> Stream:
    """The journal's JSON Lines: numbers and times are texts, a message may be a list of bytes."""
    random, hostile = material.random, hostility(material)

    def record(i: int) -> bytes:
        odd = i >= USUAL and material.chance(hostile)
        message = material.quoted(material.odd_text() if odd else f"{material.text()} {random.randrange(99)}")
        if odd and random.random() < 0.3:
            message = random.choice(("[104,105,255]", "null", "[1,300]", "[]", material.value()))
        clock = int(START.timestamp() * 1e6) + i * 1_000_003
        time = material.quoted(material.broken_time()) if odd and random.random() < 0.2 else f'"{clock}"'
        more = f",{material.quoted(material.odd_name())}:{material.value()}" if odd else ""
        line = (
            f'{{"__REALTIME_TIMESTAMP":{time},"MESSAGE":{message},"PRIORITY":"{random.randrange(4, 7)}",'
            f'"_PID":"{random.randrange(99)}","SYSLOG_IDENTIFIER":"{random.choice(("sshd", "cron", "x"))}"{more}}}'
        ).encode()
        return material.mutated(line) if odd and random.random() < 0.3 else line

    made = [record(i) for i in range(n)]
    return Stream(name, made, numbers=["PRIORITY", "_PID"], texts=["SYSLOG_IDENTIFIER", "MESSAGE"])


@maker("json")
def array(material: Material, n: int, name: str) -> Stream:
    """An array, alone or in a document; now and then torn."""
    random, records = material.random, Records(material)
    records.torn = 0.0
    made = [records.record(i).strip(b" \t\r") for i in range(n)]
    made = [each for each in made if each not in (b"", b"\xef\xbb\xbf") and b"}{" not in each]  # each is one element
    between = random.choice((b",", b",\n", b" ,\r\n", b"\n,\n\t"))
    head, tail, needs = b"[", b"]", {}
    if random.random() < 0.4:
        path = random.choice(("Records", "data.rows", "a.b.c"))
        before, after = "".join(f'"{each}":{{"v":[1,"]}}"],' for each in path.split(".")[:-1]), "}" * path.count(".")
        head, tail = (
            f'{{"n":{material.number()},{before}"{path.split(".")[-1]}":['.encode(),
            f']{after},"z":[{{}}]}}'.encode(),
        )
        needs = {"records_at": path}
    whole = random.random() < 0.8
    if not whole:  # torn: what follows a fault cannot be told for sure
        at = random.randrange(USUAL, n) if n > USUAL else 0
        made = [*made[:at], *(material.mutated(each) if random.random() < 0.02 else each for each in made[at:])]
        tail = random.choice((b"", tail, tail + b" oops", tail + head, b"," + tail, b"}" + tail))
    return Stream(
        name,
        made,
        head=(b"\xef\xbb\xbf" if random.random() < 0.05 else b"")
        + random.choice((b"", b"\n "))
        + head
        + random.choice((b"", b"\n")),
        between=between,
        tail=random.choice((b"", b"\r\n")) + tail + random.choice((b"", b"\n")),
        needs=needs,
        numbers=["x", "y", "a.b", *records.odd[::2]],
        texts=["s", "k", "a.c", *records.odd[1::2]],
        times=["t"],
        whole=whole,
    )
