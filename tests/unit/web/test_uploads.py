"""Uploads: taken in within bounds, made into something else by another process, forgotten."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from synth import BLUE, RED, Scene, make_video
from vsearch.web import problems, uploading, uploads
from vsearch.web.problems import Problem
from vsearch.web.turns import Turns
from vsearch.web.uploads import Upload, Uploads, shown_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from httpx2 import Response


def png(colour: tuple[int, int, int] = RED, side: int = 40) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(out, "PNG")
    return out.getvalue()


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Uploads]:
    made = Uploads(tmp_path / "uploads", most_bytes=2_000_000, most=3)
    yield made
    made.close()


def received(store: Uploads, *data: bytes, name: str = "a.png") -> Upload:
    return asyncio.run(store.receive(pieces(*data), name))


def kept_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "uploads").rglob("*") if path.is_file())


def test_what_comes_is_kept_as_a_picture_of_our_own(store: Uploads, tmp_path: Path) -> None:
    data = png()
    upload = received(store, data[:10], data[10:])
    assert (upload.kind, upload.width, upload.height, upload.duration) == ("image", 40, 40, None)
    assert store.get(upload.id) is upload
    assert kept_files(tmp_path) == ["picture.png"]
    folder = upload.path.parent
    assert folder.stat().st_mode & 0o77 == 0
    store.remove(upload.id)
    assert not folder.exists()
    with pytest.raises(Problem) as caught:
        store.get(upload.id)
    assert caught.value.status == 404


def test_code_in_the_folder_we_are_in_is_not_run(
    store: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name in ("av.py", "mimetypes.py", "numpy.py"):
        (folder / name).write_text("import pathlib; pathlib.Path('run').touch(); 1 / 0")
    monkeypatch.chdir(folder)
    assert received(store, png()).kind == "image"
    assert not (folder / "run").exists()


def test_the_oldest_is_forgotten_for_the_newest(store: Uploads, tmp_path: Path) -> None:
    made = [received(store, png()) for _ in range(4)]
    with pytest.raises(Problem):
        store.get(made[0].id)
    assert [store.get(one.id) for one in made[1:]] == made[1:]
    assert len(kept_files(tmp_path)) == 3
    assert len({one.id for one in made}) == 4


def test_all_that_is_kept_has_a_bound_in_bytes(tmp_path: Path) -> None:
    store = Uploads(tmp_path / "uploads", most_kept=1)
    received(store, png())
    received(store, png())
    assert len(kept_files(tmp_path)) == 1
    store.close()
    assert not list((tmp_path / "uploads").iterdir())


def test_a_file_that_is_too_large_is_not_taken_to_its_end(store: Uploads, tmp_path: Path) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(100_000)

    with pytest.raises(Problem) as caught:
        asyncio.run(store.receive(endless(), "a.mp4"))
    assert (caught.value.status, caught.value.kind) == (413, "too-large")
    assert taken == 21
    assert not kept_files(tmp_path)


@pytest.mark.parametrize("data", [b"", b"plain text", b"PK\3\4 a zip", png()[:60]])
def test_what_is_no_picture_and_no_video_leaves_nothing(
    store: Uploads, tmp_path: Path, data: bytes
) -> None:
    with pytest.raises(Problem) as caught:
        received(store, data, name="a<b>.png")
    assert caught.value.status == 422
    assert str(tmp_path) not in caught.value.detail
    assert not list((tmp_path / "uploads").glob("*/*"))


@pytest.mark.skipif(sys.platform == "win32", reason="looks for a process as POSIX does")
def test_a_process_that_takes_too_long_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    real = asyncio.create_subprocess_exec

    async def sleeping(*words: str, **options: Any) -> asyncio.subprocess.Process:
        process = await real(sys.executable, "-c", "import time; time.sleep(60)", **options)
        started.append(process.pid)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", sleeping)
    store = Uploads(tmp_path / "uploads", seconds=0.3)
    with pytest.raises(Problem, match="takes longer"):
        received(store, png())
    assert not Path(f"/proc/{started[0]}").exists()

    async def left() -> None:
        task = asyncio.create_task(store.receive(pieces(png()), "a"))
        while len(started) < 2:
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    store = Uploads(tmp_path / "uploads", seconds=50)
    asyncio.run(left())
    assert not Path(f"/proc/{started[1]}").exists()
    assert not kept_files(tmp_path)


def test_a_process_that_dies_is_a_problem_of_the_file(
    store: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Problem, match="cannot be read within the limits"):
        received(store, png())


def test_two_processes_at_once_and_the_others_wait(
    store: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = most = 0

    async def slow(path: Path, folder: Path, seconds: float) -> dict[str, Any]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.05)
        inside -= 1
        return {"error": "no"}

    monkeypatch.setattr(uploads, "_sanitised", slow)

    async def many() -> list[BaseException | Upload]:
        coming = [store.receive(pieces(b"x"), "a") for _ in range(10)]
        return await asyncio.gather(*coming, return_exceptions=True)

    async def twice() -> list[BaseException | Upload]:
        return [*await many(), *await many()]

    statuses = [getattr(one, "status", None) for one in asyncio.run(twice())]
    assert most == 2
    assert statuses == ([422] * 8 + [503] * 2) * 2


def test_a_client_that_sends_nothing_is_not_waited_for(
    store: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_PATIENCE", 0.05)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    with pytest.raises(Problem) as caught:
        asyncio.run(store.receive(stalled(), "a"))
    assert caught.value.status == 408
    assert not kept_files(tmp_path)


def test_a_disk_that_cannot_take_more_is_a_problem(store: Uploads, tmp_path: Path) -> None:
    store.close()  # the folder is gone
    with pytest.raises(Problem) as caught:
        received(store, png())
    assert (caught.value.status, caught.value.kind) == (507, "disk")


def test_settings_are_not_told_to_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSEARCH_TOKEN", "secret")
    assert "VSEARCH_TOKEN" not in uploads._environment()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\fake\\cat.png", "cat.png"),
        ("a\r\nSet-Cookie: b\0\u202egnp.exe", "aSet-Cookie: bgnp.exe"),
        ("", "upload"),
        ("x" * 500, "x" * 200),
        ("\udcff.png", ".png"),
        ("кот 🐈.png", "кот 🐈.png"),
    ],
)
def test_a_name_is_shown_as_one_harmless_line(name: str, shown: str) -> None:
    assert shown_name(name) == shown


# --- over HTTP


@pytest.fixture
def client(store: Uploads) -> Iterator[TestClient]:
    app = FastAPI()
    app.state.desk = SimpleNamespace(uploads=store, stills=SimpleNamespace(turns=Turns(1)))
    problems.install(app)
    app.include_router(uploading.router)
    with TestClient(app) as made:
        yield made


def test_a_picture_is_uploaded_shown_and_forgotten(client: TestClient) -> None:
    answer = client.post("/uploads", files={"file": ("../cat.png", png(side=500), "text/html")})
    assert answer.status_code == 201
    told = answer.json()
    assert told.keys() == {"id", "kind", "name", "width", "height", "duration"}
    assert (told["kind"], told["name"]) == ("image", "cat.png")
    still = client.get(f"/uploads/{told['id']}/still?w=100")
    assert still.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(still.content)).size == (160, 160)
    assert client.delete(f"/uploads/{told['id']}").status_code == 204
    assert client.delete(f"/uploads/{told['id']}").status_code == 404
    assert client.get(f"/uploads/{told['id']}/still").status_code == 404


def test_a_clip_shows_its_first_picture(client: TestClient, tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [Scene(BLUE, 2)])
    told = client.post("/uploads", files={"file": ("a.mp4", path.read_bytes())}).json()
    assert (told["kind"], told["duration"]) == ("clip", pytest.approx(2, abs=0.2))
    still = Image.open(io.BytesIO(client.get(f"/uploads/{told['id']}/still").content))
    assert still.getpixel((still.width - 3, still.height * 5 // 8))[2] > 150  # type: ignore[index]


def problem(answer: Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"]


def test_a_form_of_anything_else_is_a_problem(client: TestClient, tmp_path: Path) -> None:
    form = (422, "urn:vsearch:form")
    assert problem(client.post("/uploads", files={"other": png()})) == form
    assert problem(client.post("/uploads", files=[("file", png()), ("file", png())])) == form
    assert problem(client.post("/uploads", data={"file": "text"}, files={"x": b""})) == form
    assert problem(client.post("/uploads", json={})) == (415, "urn:vsearch:form")
    assert problem(client.post("/uploads", data={"file": "x"})) == (415, "urn:vsearch:form")
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"", b"nothing", b"--x\r\n", b"--x\r\nA: " + b"b" * 100_000, b"--x--\r\n"):
        assert problem(client.post("/uploads", content=body, headers=kind))[1] == form[1], body
    half = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nbroken off'
    assert problem(client.post("/uploads", content=half, headers=kind))[0] == 400
    long = {"Content-Type": f"multipart/form-data; boundary={'x' * 1000}"}
    assert problem(client.post("/uploads", content=b"", headers=long))[0] in (400, 415)
    assert not kept_files(tmp_path)


def test_a_file_that_is_too_large_is_refused_before_it_has_come(
    client: TestClient, tmp_path: Path
) -> None:
    large = bytes(2_100_000)
    assert problem(client.post("/uploads", files={"file": large})) == (413, "urn:vsearch:too-large")
    told = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(10**30)}
    assert problem(client.post("/uploads", content=b"", headers=told))[0] == 413
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'

    def untold() -> Iterator[bytes]:  # sent without its length
        yield head
        for _ in range(30):
            yield bytes(100_000)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert problem(client.post("/uploads", content=untold(), headers=kind))[0] == 413
    assert not kept_files(tmp_path)
