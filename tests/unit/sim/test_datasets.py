"""The list of public data sets: whole, findable, verified, and downloaded from a server that may lie."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley_bringup.cli.main import main
from policy_core.config import ConfigError
from sim.warehouse.datasets import (
    DataFile,
    DataSet,
    DownloadError,
    RowsUntil,
    Source,
    data_folder,
    download,
    file_state,
    keep_rows_until,
    read_datasets,
    set_state,
)
from tests.support.real_data import TOP

KNOWN = read_datasets(TOP / "config" / "datasets.yaml")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTENT = b"free parking\n"


def one_file(content: bytes = CONTENT, **changes: object) -> DataSet:
    file = DataFile(path="maps/a.txt", origin="deep/a b.txt", bytes=len(content), sha256=_digest(content))
    source = Source(
        repository="someone/something", commit=COMMIT, licence="MIT", files=(file.model_copy(update=changes),)
    )
    return DataSet(form="map_server", about="", sources=(source,))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A real HTTP server on this machine: its address, and what it serves by path."""
    served: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = served.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            pass

    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http_server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http_server.server_address[1]}", served
    http_server.shutdown()
    thread.join(timeout=10)
    http_server.server_close()


def test_the_list_names_each_file_once_with_commit_digest_and_licence() -> None:
    files = [file.path for dataset in KNOWN.values() for _, file in dataset.files()]
    assert len(files) == len(set(files)) > 60
    assert {"aws_small_warehouse_005", "nav2_depot", "isaac_carter_warehouse", "online_retail"} <= set(KNOWN)
    assert all(source.licence for dataset in KNOWN.values() for source in dataset.sources)


@pytest.mark.parametrize("name", KNOWN)
def test_the_real_files_are_the_listed_ones(name: str) -> None:
    folder = data_folder(TOP)
    if folder is None or set_state(KNOWN[name], folder) == "absent":
        pytest.skip(f"data set {name} is not here; set PARLEY_DATA (`parley data` lists and downloads it)")
    assert set_state(KNOWN[name], folder) == "verified"


def test_a_file_counts_only_with_its_digest(tmp_path: Path) -> None:
    dataset = one_file()
    _, file = dataset.files()[0]
    assert file_state(file, None) == file_state(file, tmp_path) == "absent"
    (tmp_path / "maps").mkdir()
    (tmp_path / file.path).write_bytes(CONTENT)
    assert file_state(file, tmp_path) == "verified"
    (tmp_path / file.path).write_bytes(b"x")
    assert set_state(dataset, tmp_path) == "altered"


def test_a_download_is_written_whole_and_only_once(tmp_path: Path, server: tuple[str, dict[str, bytes]]) -> None:
    host, served = server
    served[f"/someone/something/{COMMIT}/deep/a%20b.txt"] = CONTENT
    assert download(one_file(), tmp_path, host) == ["maps/a.txt"]
    assert (tmp_path / "maps" / "a.txt").read_bytes() == CONTENT
    assert [file.name for file in (tmp_path / "maps").iterdir()] == ["a.txt"]
    assert download(one_file(), tmp_path, host) == []


def test_content_other_than_the_listed_one_is_not_written(tmp_path: Path, server: tuple[str, dict[str, bytes]]) -> None:
    host, served = server
    served[f"/someone/something/{COMMIT}/deep/a%20b.txt"] = b"please log in"
    with pytest.raises(DownloadError, match="is not the listed file"):
        download(one_file(), tmp_path, host)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_and_a_missing_server_say_so(tmp_path: Path, server: tuple[str, dict[str, bytes]]) -> None:
    with pytest.raises(DownloadError, match="the server answers 404"):
        download(one_file(), tmp_path, server[0])
    with pytest.raises(DownloadError, match=r"cannot be reached .* Check the network"):
        download(one_file(), tmp_path, "http://127.0.0.1:9")


def test_rows_after_the_date_are_cut_and_the_rest_is_unchanged(
    tmp_path: Path, server: tuple[str, dict[str, bytes]]
) -> None:
    table = b'n,DATE,at\r\n1,12/3/2018,"[1, 2]"\r\n2,12/10/2018,x\r\n3,12/9/2018,y\r\n'
    kept = b'n,DATE,at\r\n1,12/3/2018,"[1, 2]"\r\n3,12/9/2018,y\r\n'
    limit = RowsUntil(column="DATE", date="12/9/2018")
    assert keep_rows_until(table, limit) == kept
    host, served = server
    served[f"/someone/something/{COMMIT}/deep/a%20b.txt"] = table
    download(one_file(kept, rows_until=limit), tmp_path, host)
    assert (tmp_path / "maps" / "a.txt").read_bytes() == kept
    served[f"/someone/something/{COMMIT}/deep/a%20b.txt"] = b"\xff no table at all"
    with pytest.raises(DownloadError, match="is not the listed file"):
        download(one_file(kept, rows_until=limit), tmp_path / "other", host)


def test_parley_data_names_the_folder_or_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DATA", str(tmp_path))
    assert data_folder(TOP) == tmp_path
    monkeypatch.setenv("PARLEY_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="is no folder"):
        data_folder(TOP)
    monkeypatch.delenv("PARLEY_DATA")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    assert data_folder(checkout) is None
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert data_folder(checkout) == tmp_path / "shared" / "data"


def test_the_command_lists_states_and_refuses_strange_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_DATA", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["data", "--json", str(tmp_path / "data.json")])
    assert ended.value.code == 0
    assert "absent" in capsys.readouterr().out
    assert (tmp_path / "data.json").is_file()
    with pytest.raises(SystemExit) as ended:
        main(["data", "onlineretail"])
    assert ended.value.code == 2
    assert "Parley knows aws_small_warehouse_005" in capsys.readouterr().err
