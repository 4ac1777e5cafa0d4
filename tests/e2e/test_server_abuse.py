"""Abusive clients: the server rejects them, serves others and leaks nothing."""

from __future__ import annotations

import re
import socket
import struct
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.support.browser import ServerProcess, make_fake_environment, run_server
from tests.support.server import index_videos
from tests.support.video_factory import BLUE, RED, ColorScene, make_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc"),
]
PADDING = 32 * 2**20  # unused bytes in the file, so that sending it takes a while
SLACK = 4  # short-lived files and threads
GROWTH = 40.0  # MB
SEARCH = {"q": "blue"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with one large file, and a folder for temporary files."""
    folder = tmp_path_factory.mktemp("abuse")
    (folder / "videos").mkdir()
    (folder / "tmp").mkdir()
    film = make_video(
        folder / "videos" / "red then blue.mp4",
        [ColorScene(RED, 20), ColorScene(BLUE, 20)],
        frame_size=(320, 240),
    )
    with film.open("ab") as file:
        file.write(struct.pack(">I4s", PADDING, b"free"))
        file.truncate(file.tell() + PADDING - 8)
    index_videos(folder / "library", folder / "videos")
    return folder


@pytest.fixture(scope="module")
def environment(place: Path, fake_plugin: Path) -> dict[str, str]:
    return {**make_fake_environment(fake_plugin), "TMPDIR": str(place / "tmp")}


@pytest.fixture(scope="module")
def server(place: Path, environment: dict[str, str]) -> Iterator[ServerProcess]:
    with run_server(place / "library", place / "log", env=environment) as one:
        with asking(one) as http:
            http.get("/healthz").raise_for_status()
        yield one


def asking(server: ServerProcess) -> httpx2.Client:
    return httpx2.Client(base_url=server.address, timeout=60, trust_env=False)


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx2.Client]:
    """A well-behaved client that checks afterwards that the server still works."""
    with asking(server) as client:
        yield client
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/v1/search", params=SEARCH).json()["results"]
    assert server.process.poll() is None
    assert "Traceback" not in server.log_path.read_text()


@contextmanager
def connected(server: ServerProcess, sent: bytes, *, buffer: int = 0) -> Iterator[socket.socket]:
    """Open a connection, send bytes and reset it like a killed client."""
    with socket.socket() as one:
        if buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.settimeout(30)
        one.connect(("127.0.0.1", server.port))
        with suppress(OSError):  # the server may close early
            one.sendall(sent)
        yield one


@contextmanager
def crowd(server: ServerProcess, asked: Iterable[bytes]) -> Iterator[None]:
    """Open many connections that never read."""
    with ExitStack() as stack:
        for one in asked:
            stack.enter_context(connected(server, one, buffer=4096))
        yield


def head(server: ServerProcess, path: str, *lines: str, method: str = "GET") -> bytes:
    text = "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *lines])
    return f"{text}\r\n\r\n".encode()


def status(one: socket.socket) -> int:
    """Return the status of the response, or 0 if the connection is closed."""
    try:
        status_line = re.match(rb"HTTP/1.1 (\d+)", one.recv(4096))
    except ConnectionError:
        return 0
    return int(status_line[1]) if status_line else 0


def held(server: ServerProcess) -> tuple[int, int]:
    """Return the numbers of open files and threads of the server."""
    process = Path(f"/proc/{server.process.pid}")
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


def resident(server: ServerProcess) -> float:
    """Return the resident memory of the server in MB."""
    process_status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", process_status)
    assert found is not None
    return int(found[1]) / 1024


def eventually(check: Callable[[], bool], seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while not (fine := check()) and time.monotonic() < until:
        time.sleep(0.05)
    return fine


@pytest.mark.usefixtures("http")
def test_a_huge_header_is_rejected(server: ServerProcess) -> None:
    with connected(server, head(server, "/healthz", "X: " + "a" * 1_000_000)) as one:
        assert status(one) in (0, 400, 431)


@pytest.mark.usefixtures("http")
def test_a_huge_url_is_rejected(server: ServerProcess) -> None:
    with connected(server, head(server, "/api/v1/search?q=" + "a" * 100_000)) as one:
        assert status(one) in (0, 400, 414, 422, 431)


@pytest.mark.usefixtures("http")
def test_thousands_of_headers_are_handled(server: ServerProcess) -> None:
    lines = [f"X{number}: 1" for number in range(2_000)]
    with connected(server, head(server, "/healthz", *lines)) as one:
        assert status(one) in (0, 200, 400, 431)


def test_incomplete_requests_do_not_block_others(
    server: ServerProcess, http: httpx2.Client
) -> None:
    before = held(server)[0]
    half = head(server, "/api/v1/search?q=blue")[:-4]
    body = head(server, "/api/v1/search", "Content-Length: 1000", method="POST")
    with crowd(server, [half, body] * 100):
        assert http.get("/api/v1/search", params=SEARCH).json()["results"]
    assert eventually(lambda: held(server)[0] <= before + SLACK)


@pytest.mark.parametrize("drip", [b"", b"G", b"GET / HTTP/1.1\r\nX: "])
def test_connections_that_stay_after_an_answer_lock_nobody_out(
    server: ServerProcess, http: httpx2.Client, drip: bytes
) -> None:
    before = held(server)[0]
    with ExitStack() as stack:
        for number in range(520):
            attacker = stack.enter_context(connected(server, head(server, "/healthz")))
            with suppress(OSError):
                attacker.recv(4096)
                attacker.sendall(drip)
            if number % 100 == 99:
                with asking(server) as newcomer:
                    assert newcomer.get("/api/v1/search", params=SEARCH).json()["results"]
        assert held(server)[0] < before + 100
    assert eventually(lambda: held(server)[0] <= before + SLACK)


def test_pipelined_answers_that_are_never_read_lock_nobody_out(
    server: ServerProcess, http: httpx2.Client
) -> None:
    before, memory = held(server)[0], resident(server)

    def is_answered() -> bool:
        with asking(server) as newcomer, suppress(httpx2.TransportError):
            is_shown = newcomer.get("/static/app.css").status_code == 200
            return is_shown and newcomer.get("/api/v1/search", params=SEARCH).status_code == 200
        return False  # while the server works for all connections of this address

    with crowd(server, [head(server, "/static/app.css") * 300] * 80):
        for _ in range(5):
            assert eventually(is_answered)
    assert eventually(lambda: held(server)[0] <= before + SLACK)
    assert resident(server) - memory < GROWTH


def test_bodies_that_drip_lock_nobody_out(server: ServerProcess, http: httpx2.Client) -> None:
    headers = ["Content-Type: multipart/form-data; boundary=b", "Content-Length: 1000000"]
    upload = head(server, "/api/v1/uploads", *headers, method="POST") + b"--b\r\n"

    def can_upload() -> bool:
        response = http.post("/api/v1/uploads", files={"file": ("a.png", huge_picture(64))})
        if response.status_code == 201:
            http.delete(f"/api/v1/uploads/{response.json()['upload_id']}").raise_for_status()
        return response.status_code == 201

    with crowd(server, [upload] * 20):
        can_upload()  # or not: only uploads of this address are limited
        assert http.get("/api/v1/search", params=SEARCH).json()["results"]
    assert eventually(can_upload)


def test_one_client_cannot_have_all_event_streams(
    server: ServerProcess, http: httpx2.Client
) -> None:
    asked = head(server, "/api/v1/jobs/events")
    with ExitStack() as stack:
        streams = [stack.enter_context(connected(server, asked)) for _ in range(40)]
        codes = [status(stream) for stream in streams]
        assert sorted(set(codes)) == [200, 429]
        assert codes.count(200) <= 16
    assert eventually(lambda: http.get("/api/v1/jobs").status_code == 200)


def test_searches_in_great_numbers_keep_little(server: ServerProcess, http: httpx2.Client) -> None:
    def search(number: int) -> None:
        query = {"q": f"blue {number}", "k": 1_000, "per_video": 1_000, "include_duplicates": True}
        assert http.post("/api/v1/search", json=query).status_code == 200

    for number in range(30):
        search(number)
    memory = resident(server)
    for number in range(30, 230):
        search(number)
    assert resident(server) - memory < GROWTH


RANGES = [
    "bytes=0-0",
    "bytes=-1",
    "bytes=-0",
    "bytes=5-2",
    "bytes=0-99999999999999999999999999",
    "bytes=99999999999999999999999999-",
    "bytes=-99999999999999999999999999",
    "bytes=" + ",".join(f"{n}-{n + 9}" for n in range(0, 5_000, 10)),
    "bytes=" + ",".join("0-" for _ in range(2_000)),
    "bytes=" + ",".join("0-1000000" for _ in range(1_000)),
    "bytes=-5,0-3,2-1",
    "bytes=a-b",
    "bytes=",
    "bytes=0x10-0x20",
    "bytes=-1-5",
    "lines=0-1",
    "bytes = 0 - 1",
    "bytes=0-1;bytes=0-1",
]


@pytest.mark.parametrize("wanted", RANGES, ids=range(len(RANGES)))
def test_no_range_returns_more_than_the_file(http: httpx2.Client, wanted: str) -> None:
    video = http.get("/api/v1/videos").json()["items"][0]
    path = f"/api/v1/videos/{video['video_id']}/file"
    with http.stream("GET", path, headers={"Range": wanted}) as answer:
        assert answer.status_code in (200, 206, 416)
        assert int(answer.headers["content-length"]) <= video["size"]
        assert sum(len(piece) for piece in answer.iter_bytes()) <= video["size"]


def test_killed_clients_leak_nothing(server: ServerProcess, http: httpx2.Client) -> None:
    video = http.get("/api/v1/videos").json()["items"][0]["video_id"]
    paths = [
        f"/api/v1/videos/{video}/{name}"
        for name in ("file", "stream", "stream?force_encoding=true")
    ]

    def wave(times: int) -> None:
        for number in range(times):
            asked = head(server, paths[number % len(paths)])
            with connected(server, asked, buffer=4096) as one:
                assert status(one) in (200, 503)

    files = held(server)[0]
    wave(30)
    assert eventually(lambda: held(server)[0] <= files + SLACK)
    threads, memory = held(server)[1], resident(server)
    wave(90)
    assert eventually(lambda: held(server)[0] <= files + SLACK)
    assert eventually(lambda: held(server)[1] <= threads + SLACK)
    assert resident(server) - memory < GROWTH
    with http.stream("GET", paths[2]) as answer:
        assert answer.status_code == 200
        assert answer.read()


def test_an_unread_stream_makes_room(server: ServerProcess, http: httpx2.Client) -> None:
    video = http.get("/api/v1/videos").json()["items"][0]["video_id"]
    asked = head(server, f"/api/v1/videos/{video}/stream?force_encoding=true")
    with crowd(server, [asked] * 6):
        assert http.get("/api/v1/search", params=SEARCH).status_code == 200
    path = f"/api/v1/videos/{video}/stream"
    assert eventually(lambda: http.get(path).status_code == 200)


def bombs(folder: Path, film: Path) -> list[tuple[str, bytes]]:
    """Return files that are mislabeled, broken or decompression bombs."""
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", bytes(50 * 2**20))
    zipped = (folder / "bomb.zip").read_bytes()
    (folder / "bomb.zip").unlink()
    content = film.read_bytes()
    return [
        ("huge.png", huge_picture(30_000)),
        ("cut.mp4", content[:4_000]),
        ("no head.mp4", content[2_000:60_000]),
        ("bomb.zip", zipped),
        ("bomb.mp4", zipped),
        ("page.png", b"<html><script>alert(1)</script></html>"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
        ("parts.ffconcat", b"ffconcat version 1.0\nfile /etc/passwd\n"),
        ("empty.png", b""),
    ]


def huge_picture(side: int) -> bytes:
    """Return a small PNG file of `side` x `side` pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    size = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_malicious_uploads_are_rejected(
    server: ServerProcess, http: httpx2.Client, place: Path, tmp_path: Path
) -> None:
    film = place / "videos" / "red then blue.mp4"
    files = held(server)[0]
    for name, content in bombs(tmp_path, film):
        response = http.post("/api/v1/uploads", files={"file": (name, content)})
        memory = resident(server)
        assert response.status_code in (413, 415, 422), (name, response.text)
        assert response.json()["detail"]
        assert "/etc" not in response.text
        assert "root:" not in response.text
        again = http.post("/api/v1/uploads", files={"file": (name, content)})
        assert again.status_code == response.status_code
        assert resident(server) - memory < GROWTH, name
    assert [one for one in (place / "tmp").rglob("*") if not one.is_dir()] == []
    assert eventually(lambda: held(server)[0] <= files + SLACK)


def test_an_upload_that_is_too_large_is_rejected(
    server: ServerProcess, http: httpx2.Client, place: Path
) -> None:
    memory = resident(server)
    headers = ["Content-Type: multipart/form-data; boundary=b", f"Content-Length: {300 * 2**20}"]
    with connected(server, head(server, "/api/v1/uploads", *headers, method="POST")) as one:
        assert status(one) == 413
    headers[1] = "Transfer-Encoding: chunked"
    begin = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
    asked = head(server, "/api/v1/uploads", *headers, method="POST")
    with connected(server, asked + chunked(begin)) as one:
        piece = chunked(bytes(2**20))
        with suppress(OSError):
            for _ in range(300):
                one.sendall(piece)
        assert status(one) in (0, 413)
    assert eventually(lambda: not [one for one in (place / "tmp").rglob("*") if one.is_file()])
    assert resident(server) - memory < GROWTH


def chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_an_aborted_upload_leaves_no_file(
    server: ServerProcess, http: httpx2.Client, place: Path
) -> None:
    headers = ["Content-Type: multipart/form-data; boundary=b", "Content-Length: 1000000"]
    begin = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
    for _ in range(20):
        asked = head(server, "/api/v1/uploads", *headers, method="POST")
        with connected(server, asked + begin + bytes(100_000)):
            pass
    assert eventually(lambda: not [one for one in (place / "tmp").rglob("*") if one.is_file()])


def test_fifty_concurrent_clients_are_served(server: ServerProcess, http: httpx2.Client) -> None:
    colors = ("red", "blue", "a red car", "the blue sea", "green")

    def client(number: int) -> list[int]:
        with asking(server) as one:
            asked = [colors[(number + turn) % len(colors)] for turn in range(10)]
            return [one.get("/api/v1/search", params={"q": q}).status_code for q in asked]

    client(0)
    memory = resident(server)
    with ThreadPoolExecutor(50) as clients:
        status_codes = [code for codes in clients.map(client, range(50)) for code in codes]
    assert status_codes == [200] * 500
    assert resident(server) - memory < GROWTH


def test_the_server_stops_despite_open_streams(place: Path, environment: dict[str, str]) -> None:
    with run_server(place / "library", place / "log of stopping", env=environment) as server:
        with asking(server) as http:
            video = http.get("/api/v1/videos").json()["items"][0]["video_id"]
        paths = [
            f"/api/v1/videos/{video}/stream?force_encoding=true",
            f"/api/v1/videos/{video}/file",
            "/api/v1/jobs/events",
        ]
        with crowd(server, [head(server, one) for one in paths]):
            with asking(server) as http:
                http.get("/healthz").raise_for_status()
            assert server.stop(10) == -15
        assert "Traceback" not in server.log_path.read_text()
    assert list((place / "tmp").glob("*/*")) == []
