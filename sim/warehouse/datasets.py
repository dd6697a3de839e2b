"""The public data sets Parley knows: where their files are from, whether they are here and whole, and how to get them.

The list with licences and digests is config/datasets.yaml. A file counts only when its digest is the listed one.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import os
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field as Bound

from policy_core.config import ConfigError, Settings, parse_settings, read_yaml

HOST = "https://raw.githubusercontent.com"
LARGEST = 64 * 2**20  # bytes read of any answer, whatever it says
PATIENCE = 30.0  # s that a server may stay silent
VARIABLE = "PARLEY_DATA"

State = Literal["verified", "incomplete", "altered", "absent"]


class DownloadError(RuntimeError):
    """A file could not be fetched, or is not the listed one; the text names the file and the cure."""


class RowsUntil(Settings):
    """A CSV file of which only the rows up to a date are kept."""

    column: str
    date: str  # month/day/year


class DataFile(Settings):
    """One file of a data set."""

    path: str  # under the data folder
    origin: str = ""  # path in the repository; the file name of `path` below the repository's top if empty
    bytes: int = Bound(ge=0)
    sha256: str = Bound(pattern=r"^[0-9a-f]{64}$")
    rows_until: RowsUntil | None = None
    made: str = ""  # how the file was made from its origin


class Source(Settings):
    """Files of one repository at one commit, under one licence."""

    repository: str
    commit: str = Bound(pattern=r"^[0-9a-f]{40}$")
    licence: str
    files: tuple[DataFile, ...]


class DataSet(Settings):
    """A named set of files."""

    form: str
    about: str
    sources: tuple[Source, ...]

    def files(self) -> list[tuple[Source, DataFile]]:
        """All files with the source each is from."""
        return [(source, file) for source in self.sources for file in source.files]

    def folder(self) -> str:
        """The deepest folder under the data folder that holds all files."""
        return os.path.commonpath([str(Path(file.path).parent) for _, file in self.files()])

    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for _, file in self.files())

    def licences(self) -> str:
        """The licences, each once."""
        return ", ".join(dict.fromkeys(source.licence for source in self.sources))


class _DataSets(Settings):
    sets: dict[str, DataSet]


def read_datasets(path: Path) -> dict[str, DataSet]:
    """Load config/datasets.yaml; raises ConfigError in words."""
    return parse_settings(_DataSets, {"sets": read_yaml(path)}, source=str(path)).sets


def data_folder(checkout: Path) -> Path | None:
    """The folder PARLEY_DATA names, else ../shared/data beside the checkout if it is there, else None.

    Raises:
        ConfigError: PARLEY_DATA names something that is not a folder.
    """
    named = os.environ.get(VARIABLE)
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"{VARIABLE} is {named}, which is no folder. Make it, or unset the variable.")
        return folder
    beside = checkout.resolve().parent / "shared" / "data"
    return beside if beside.is_dir() else None


def file_state(file: DataFile, folder: Path | None) -> State:
    """Whether one file lies under the data folder, byte for byte."""
    if folder is None or not (folder / file.path).is_file():
        return "absent"
    return "verified" if _digest((folder / file.path).read_bytes()) == file.sha256 else "altered"


def set_state(dataset: DataSet, folder: Path | None) -> State:
    """The state of a whole set: verified only if each file is."""
    states = {file_state(file, folder) for _, file in dataset.files()}
    if len(states) == 1:
        return states.pop()
    return "altered" if "altered" in states else "incomplete"


def download(dataset: DataSet, folder: Path, host: str = HOST) -> list[str]:
    """Fetch all files that are not here and whole; each is written only once its digest is right.

    Returns:
        The paths written. Files that were made from their origin are left out; `made_files` names them.

    Raises:
        DownloadError: no network, no such file at the host, or content other than the listed one.
    """
    written = []
    for source, file in dataset.files():
        if file.made or file_state(file, folder) == "verified":
            continue
        content = _fetch(source, file, host)
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        part.write_bytes(content)
        part.replace(target)
        written.append(file.path)
    return written


def made_files(dataset: DataSet) -> dict[str, str]:
    """Files that cannot be downloaded, with how they were made from their origin."""
    return {file.path: file.made for _, file in dataset.files() if file.made}


def _fetch(source: Source, file: DataFile, host: str) -> bytes:
    origin = urllib.parse.quote(file.origin or file.path)
    url = f"{host}/{source.repository}/{source.commit}/{origin}"
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            content = answer.read(LARGEST)
    except urllib.error.HTTPError as error:
        raise DownloadError(f"{url}: the server answers {error.code} {error.reason}.") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise DownloadError(
            f"{url}: cannot be reached ({reason}). Check the network or its proxy, or copy the file to {file.path} "
            f"under {VARIABLE} by hand."
        ) from None
    if file.rows_until is not None:
        with contextlib.suppress(ValueError, csv.Error, IndexError):  # not the file: the digest below says so
            content = keep_rows_until(content, file.rows_until)
    if _digest(content) != file.sha256:
        raise DownloadError(
            f"{url}: is not the listed file (sha256 {_digest(content)[:16]}, wanted {file.sha256[:16]}). "
            f"Nothing was written; the repository may have changed, or something on the way answers in its place."
        )
    return content


def keep_rows_until(content: bytes, limit: RowsUntil) -> bytes:
    """The header and all rows of a CSV file up to a date, bytes and order unchanged.

    Raises:
        ValueError: the column or a date in it cannot be read.
    """
    lines = content.splitlines(keepends=True)
    header = next(csv.reader([lines[0].decode()])) if lines else []
    at, last = header.index(limit.column), datetime.strptime(limit.date, "%m/%d/%Y")
    rows = zip(lines[1:], csv.reader(line.decode() for line in lines[1:]), strict=True)
    return lines[0] + b"".join(line for line, cells in rows if datetime.strptime(cells[at], "%m/%d/%Y") <= last)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
