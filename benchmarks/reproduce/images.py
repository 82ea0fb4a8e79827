"""The article's stream: one numeral under rotation is normal, others are anomalies, the normal one switches.

Pixels are whole numbers from 0 (background) to 255, row by row.
"""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import rotate

from benchmarks.reproduce.cells import Missing

IMAGES, LABELS = 2051, 2049  # what idx files of images and of labels begin with
BLUE, RED = "#0072B2", "#D55E00"  # as in plots.py
GAP = 4  # pixels between images of a film strip


@dataclass(frozen=True)
class Digits:
    """Images (n, side, side) float64, 0 to 255, their numerals (n,) int64, and where they are from."""

    images: np.ndarray
    numerals: np.ndarray
    source: str

    def part(self, which: int) -> Digits:
        """Three fifths of them (0), for streams, or the rest (1), for reference pools; writers mixed."""
        order = np.random.default_rng(0).permutation(len(self.images))
        end = 3 * len(order) // 5
        chosen = order[:end] if which == 0 else order[end:]
        return Digits(self.images[chosen], self.numerals[chosen], self.source)


@dataclass(frozen=True)
class Numerals:
    """A stream: X (n, pixels); label (n,) 1 where anomalous; numeral (n,); switches: records that change the norm."""

    X: np.ndarray
    label: np.ndarray
    numeral: np.ndarray
    switches: tuple[int, ...]


def load(data: Path | None) -> Digits:
    """The idx pairs in DATA/mnist or DATA, in the order of their names; without a folder scikit-learn's 8x8 digits.

    A pair is `*images*idx3*` and the `*labels*idx1*` of the same rest, gzip or plain. Raises Missing without one.
    """
    if data is None:
        return _small()
    folder = data / "mnist" if (data / "mnist").is_dir() else data
    images, numerals, names = [], [], []
    for file in sorted(folder.glob("*images*idx3*")):
        beside = file.with_name(file.name.replace("images", "labels").replace("idx3", "idx1"))
        if beside.exists():
            images.append(_idx(file, IMAGES))
            numerals.append(_idx(beside, LABELS))
            names.append(file.name)
            if len(images[-1]) != len(numerals[-1]):
                raise Missing(f"{file.name} and {beside.name} differ in length")
    if not images:
        raise Missing(f"no *images*idx3* with its *labels*idx1* in {folder.name}/")
    counted = f"{sum(map(len, images)):,} images of 28 x 28 pixels ({', '.join(names)})"
    return Digits(np.concatenate(images).astype(np.float64), np.concatenate(numerals).astype(np.int64), counted)


def _idx(file: Path, magic: int) -> np.ndarray:
    """The bytes of an idx file in its shape."""
    data = file.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    if int.from_bytes(data[:4], "big") != magic:
        raise Missing(f"{file.name} is not an idx file of {'images' if magic == IMAGES else 'labels'}")
    axes = data[3]
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes)]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _small() -> Digits:
    """The digits that come with scikit-learn."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise Missing("neither a folder of images nor scikit-learn") from error
    bunch = load_digits()
    images = np.round(bunch.images * (255.0 / 16.0))
    return Digits(images, bunch.target.astype(np.int64), "1,797 images of 8 x 8 pixels (scikit-learn's)")


def rotated(rng: np.random.Generator, images: np.ndarray, degrees: float) -> np.ndarray:
    """(n, pixels): each image turned by an angle of its own, uniform within +- degrees, in whole pixel values."""
    angles = rng.uniform(-degrees, degrees, len(images))
    turned = [rotate(image, angle, reshape=False, order=1) for image, angle in zip(images, angles, strict=True)]
    return np.clip(np.round(np.array(turned)), 0.0, 255.0).reshape(len(images), -1)


def stream(
    digits: Digits,
    seed: int,
    degrees: float,
    numerals: Sequence[int] = (0, 1, 2, 3),
    length: int = 500,
    anomalies: float = 0.05,
) -> Numerals:
    """Each of `numerals` in turn is normal for `length` records; a share of the records is any other numeral.

    Images are drawn from three fifths of the set, with repetition, and turned.
    """
    rng = np.random.default_rng(seed)
    part = digits.part(0)
    normal = np.repeat(numerals, length)
    label = rng.random(len(normal)) < anomalies
    other = (normal + rng.integers(1, 10, len(normal))) % 10
    numeral = np.where(label, other, normal)
    places = [np.flatnonzero(part.numerals == each) for each in range(10)]
    chosen = np.array([rng.choice(places[each]) for each in numeral])
    X = rotated(rng, part.images[chosen], degrees)
    return Numerals(X, label.astype(np.int64), numeral, tuple(range(length, len(normal), length)))


def pool(digits: Digits, seed: int, degrees: float, count: int = 2000) -> np.ndarray:
    """(count, pixels) images of any numeral from the rest of the set, without repetition where it suffices."""
    rng = np.random.default_rng(seed)
    part = digits.part(1)
    chosen = rng.choice(len(part.images), count, replace=count > len(part.images))
    return rotated(rng, part.images[chosen], degrees)


def write(file: Path, X: np.ndarray, label: np.ndarray | None = None) -> Path:
    """CSV with the columns p0, p1, ... and, where given, label."""
    names = [f"p{j}" for j in range(X.shape[1])]
    rows = X.astype(np.int64)
    if label is not None:
        names, rows = [*names, "label"], np.column_stack([rows, label])
    file.write_text("\n".join([",".join(names), *(",".join(map(str, row)) for row in rows.tolist())]) + "\n")
    return file


def filmstrip(
    file: Path, made: Numerals, flagged: np.ndarray, start: int, stop: int, columns: int = 20, zoom: float = 1.25
) -> Path:
    """Records `start` to `stop` as an SVG picture: red boxes around the flagged ones, a blue dot under the anomalies.

    flagged : (n,) bool, over the whole stream. A dashed line stands before a record that changes the norm.
    """
    side = round(made.X.shape[1] ** 0.5)
    enlarge = max(1, round(28 / side))  # small images are drawn in larger pixels
    size = side * enlarge
    cell = size + 2 * GAP
    rows = -(-(stop - start) // columns)
    high = cell + 12  # room for the dots and the numbers of the records
    sheet = np.full((rows * high, columns * cell), 255, np.uint8)
    marks = []
    for i, record in enumerate(range(start, stop)):
        left, top = (i % columns) * cell, (i // columns) * high
        image = np.kron(255.0 - made.X[record].reshape(side, side), np.ones((enlarge, enlarge)))
        sheet[top + GAP : top + GAP + size, left + GAP : left + GAP + size] = image
        if i % columns == 0:
            marks.append(f'<text x="{left + 2}" y="{top + cell + 9}">{record + 1}</text>')
        if made.label[record]:
            marks.append(f'<circle cx="{left + cell / 2}" cy="{top + cell + 4}" r="3" fill="{BLUE}"/>')
        if flagged[record]:
            box = f'x="{left + 1.5}" y="{top + 1.5}" width="{cell - 3}" height="{cell - 3}"'
            marks.append(f'<rect {box} fill="none" stroke="{RED}" stroke-width="2.5"/>')
        if record in made.switches:
            line = f'x1="{left}" x2="{left}" y1="{top}" y2="{top + high}"'
            marks.append(f'<line {line} stroke="black" stroke-width="1.5" stroke-dasharray="4 3"/>')
            marks.append(f'<text x="{left + 4}" y="{top + cell + 9}">switch</text>')
    wide, tall = columns * cell, rows * high + 18
    key = [
        f'<rect x="2" y="{tall - 14}" width="10" height="10" fill="none" stroke="{RED}" stroke-width="2"/>',
        f'<text x="17" y="{tall - 5}">flagged</text>',
        f'<circle cx="70" cy="{tall - 9}" r="3" fill="{BLUE}"/>',
        f'<text x="78" y="{tall - 5}">another numeral: an anomaly</text>',
    ]
    packed = io.BytesIO()
    Image.fromarray(sheet).save(packed, "PNG", optimize=True)
    encoded = base64.b64encode(packed.getvalue()).decode()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" width="{wide * zoom:.0f}" '
        f'height="{tall * zoom:.0f}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="9">\n'
        f'<rect width="{wide}" height="{tall}" fill="white"/>\n'
        f'<image width="{wide}" height="{rows * high}" href="data:image/png;base64,{encoded}"/>\n'
        + "\n".join([*marks, *key])
        + "\n</svg>\n"
    )
    return file
