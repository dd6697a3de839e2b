"""Order lines from CSV: which forms are known, which rows are goods, and a count of every row that is not.

Two public forms are known by their header: Online Retail (Chen 2015, doi 10.24432/C5BW33) and the pick lines of an
e-commerce distribution centre. Real files hold cancellations, corrections and typing errors: such rows are left
out and counted by reason, the first of them with file and line number. A file of which nothing can be used is refused.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from policy_core.config import ConfigError

Form = Literal["online_retail", "dc_picks"]
REASONS = ("cancellation", "quantity not positive", "not an article", "unreadable")
EXAMPLES = 8  # rows left out that are named in full
ARTICLE = re.compile(r"\d{5}[A-Za-z]{0,2}")  # others are postage, fees, discounts, manual entries
AISLE = re.compile(r"[A-Z]\d{2}")
LARGEST_QUANTITY = 1_000_000


class Row(NamedTuple):
    """One order line that is goods."""

    order: str
    family: str  # first three characters of the article code, or the aisle where that is what the file tells
    units: int
    time: datetime  # midnight of the day where the file gives days only


@dataclass(frozen=True)
class Columns:
    """Where a form keeps what we need; its first and last entries of `dates` are tried in this order."""

    order: str
    article: str
    units: str
    date: str
    dates: tuple[str, ...]


COLUMNS: dict[Form, Columns] = {
    "online_retail": Columns(
        "InvoiceNo", "StockCode", "Quantity", "InvoiceDate", ("%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M")
    ),
    "dc_picks": Columns("OrderNumber", "Alley_Number", "PCS", "DATE", ("%m/%d/%Y",)),
}


@dataclass
class RowCount:
    """What became of every row: `used` are goods, the others are left out by reason."""

    rows: int = 0
    used: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    first: dict[str, str] = field(default_factory=dict)  # the first row of each other reason

    def leave_out(self, reason: str, where: str) -> None:
        self.left_out[reason] += 1
        if reason == "unreadable" and len(self.examples) < EXAMPLES:
            self.examples.append(where)
        elif reason != "unreadable":
            self.first.setdefault(reason, where)


class OrderRows(NamedTuple):
    """The goods lines of one or several files of one form, in file order."""

    form: Form
    files: tuple[str, ...]
    rows: list[Row]
    account: RowCount


def read_rows(path: Path | str) -> OrderRows:
    """Read one CSV file, or all of a folder in the order of their names.

    Raises:
        ConfigError: nothing there, not UTF-8, a header of no known form, forms mixed, or not one usable row.
    """
    files = order_files(Path(path))
    rows: list[Row] = []
    count = RowCount()
    forms: dict[Form, Path] = {}
    for file in files:
        forms[_read_file(file, rows, count)] = file
        if len(forms) > 1:
            first, second = forms.items()
            raise ConfigError(
                f"{path}: mixes two forms of orders: {first[1].name} is {first[0]}, {second[1].name} is {second[0]}. "
                f"Give a folder of one form."
            )
    if not rows:
        left_out = ", ".join(f"{number} {reason}" for reason, number in count.left_out.items()) or "no rows at all"
        seen = [*(f"{where} ({reason})" for reason, where in count.first.items()), *count.examples]
        shown = "".join(f"\n  {example}" for example in seen)
        raise ConfigError(f"{path}: not one usable order line in {count.rows} rows ({left_out}).{shown}")
    return OrderRows(next(iter(forms)), tuple(file.name for file in files), rows, count)


def order_files(path: Path) -> tuple[Path, ...]:
    """The CSV file itself, or the CSV files of a folder by name; raises ConfigError if there are none."""
    if path.is_dir():
        files = tuple(sorted(file for file in path.iterdir() if file.suffix.lower() == ".csv" and file.is_file()))
        if not files:
            raise ConfigError(f"{path}: the folder holds no .csv file. Give a folder of order files, or one file.")
        return files
    if not path.is_file():
        raise ConfigError(f"{path}: no such file or folder. Give a CSV file of orders or a folder of them.")
    return (path,)


def _read_file(file: Path, rows: list[Row], count: RowCount) -> Form:
    lines = _lines(file)
    _, header = next(lines, (0, []))
    form = _form(file, header)
    columns = COLUMNS[form]
    at = {name: header.index(name) for name in (columns.order, columns.article, columns.units, columns.date)}
    for number, cells in lines:
        if not cells:
            continue
        count.rows += 1
        row = _goods(cells, len(header), columns, at, form)
        if isinstance(row, Row):
            count.used += 1
            rows.append(row)
        else:
            reason, detail = row
            count.leave_out(reason, f"{file.name}, line {number}: {detail}")
    return form


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each record."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            while True:
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    raise ConfigError(f"{file}, line {reader.line_num}: is not CSV ({error}).") from None
                yield reader.line_num, cells
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file}: is not UTF-8 ({error.reason} at byte {error.start}). Convert it, for instance with: "
            f"iconv -f LATIN1 -t UTF-8 {file.name} > converted.csv"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}).") from None


def _form(file: Path, header: list[str]) -> Form:
    if not any(cell.strip() for cell in header):
        raise ConfigError(f"{file}: is empty; wanted a header line and order lines.")
    for form, columns in COLUMNS.items():
        if {columns.order, columns.article, columns.units, columns.date} <= set(header):
            return form
    wanted = "; or ".join(f"{form}: {', '.join((c.order, c.article, c.units, c.date))}" for form, c in COLUMNS.items())
    seen = ", ".join(cell[:30] for cell in header[:12])
    raise ConfigError(f"{file}: the header is of no known form. Seen: {seen}. Wanted the columns of {wanted}.")


def _goods(cells: list[str], width: int, columns: Columns, at: dict[str, int], form: Form) -> Row | tuple[str, str]:
    """The row as goods, or the reason why it is none and what was seen."""
    if len(cells) != width:
        return "unreadable", f"{len(cells)} cells, wanted {width}"
    order, article = cells[at[columns.order]].strip(), cells[at[columns.article]].strip()
    if not order:
        return "unreadable", f"no {columns.order}"
    try:
        units = int(cells[at[columns.units]])
    except ValueError:
        return "unreadable", f"{columns.units} is {cells[at[columns.units]][:30]!r}, wanted a whole number"
    if abs(units) > LARGEST_QUANTITY:
        return "unreadable", f"{columns.units} is {units}, wanted at most {LARGEST_QUANTITY}"
    time = _time(cells[at[columns.date]].strip(), columns.dates)
    if time is None:
        return "unreadable", f"{columns.date} is {cells[at[columns.date]][:30]!r}, wanted like {columns.dates[0]}"
    if form == "online_retail" and order.startswith("C"):
        return "cancellation", order
    if units <= 0:
        return "quantity not positive", str(units)
    if not (ARTICLE if form == "online_retail" else AISLE).fullmatch(article):
        return "not an article", article
    return Row(order, article[:3], units, time)


def _time(text: str, forms: tuple[str, ...]) -> datetime | None:
    for form in forms:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
