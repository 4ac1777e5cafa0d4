"""Uploads: bounded, transcoded in a sandbox, and deleted."""

from __future__ import annotations

import asyncio
import io
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from starlette import formparsers
from starlette.datastructures import UploadFile

from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from vsearch.server import middleware, problems, uploads
from vsearch.server.auth import AccessPolicy
from vsearch.server.limits import ConcurrencyLimit
from vsearch.server.metrics import ServerMetrics
from vsearch.server.problems import Problem
from vsearch.server.routes import uploads as upload_routes
from vsearch.server.uploads import Upload, UploadStore, clean_file_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from httpx2 import Response


def png(color: tuple[int, int, int] = RED, side: int = 40) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), color).save(out, "PNG")
    return out.getvalue()


@asynccontextmanager
async def incoming(data: bytes, name: str = "a.png") -> AsyncIterator[UploadFile]:
    yield UploadFile(io.BytesIO(data), size=len(data), filename=name)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UploadStore]:
    made = UploadStore(tmp_path / "uploads", max_uploads=3)
    yield made
    made.close()


def receive(store: UploadStore, data: bytes, name: str = "a.png") -> Upload:
    return asyncio.run(store.receive_file(incoming(data, name)))


def stored_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "uploads").rglob("*") if path.is_file())


def test_an_image_is_transcoded_and_stored(store: UploadStore, tmp_path: Path) -> None:
    upload = receive(store, png())
    assert (upload.kind, upload.width, upload.height, upload.duration) == ("image", 40, 40, None)
    assert store.get_upload(upload.id) is upload
    assert stored_files(tmp_path) == ["picture.png"]
    folder = upload.file_path.parent
    assert folder.stat().st_mode & 0o77 == 0
    store.remove_upload(upload.id)
    assert not folder.exists()
    with pytest.raises(Problem) as caught:
        store.get_upload(upload.id)
    assert caught.value.status_code == 404


def test_modules_in_the_current_folder_are_not_imported(
    store: UploadStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name in ("av.py", "mimetypes.py", "numpy.py"):
        (folder / name).write_text("import pathlib; pathlib.Path('run').touch(); 1 / 0")
    monkeypatch.chdir(folder)
    assert receive(store, png()).kind == "image"
    assert not (folder / "run").exists()


def test_the_oldest_upload_is_evicted(store: UploadStore, tmp_path: Path) -> None:
    made = [receive(store, png()) for _ in range(4)]
    with pytest.raises(Problem):
        store.get_upload(made[0].id)
    assert [store.get_upload(one.id) for one in made[1:]] == made[1:]
    assert len(stored_files(tmp_path)) == 3
    assert len({one.id for one in made}) == 4


def test_stored_bytes_are_bounded(tmp_path: Path) -> None:
    store = UploadStore(tmp_path / "uploads", max_total_bytes=1)
    receive(store, png())
    receive(store, png())
    assert len(stored_files(tmp_path)) == 1
    store.close()
    assert not list((tmp_path / "uploads").iterdir())


@pytest.mark.parametrize("data", [b"", b"plain text", b"PK\3\4 a zip", png()[:60]])
def test_invalid_files_are_rejected_and_deleted(
    store: UploadStore, tmp_path: Path, data: bytes
) -> None:
    with pytest.raises(Problem) as caught:
        receive(store, data, name="a<b>.png")
    assert caught.value.status_code == 422
    assert str(tmp_path) not in caught.value.detail
    assert not list((tmp_path / "uploads").glob("*/*"))


@pytest.mark.skipif(sys.platform == "win32", reason="looks for a process as POSIX does")
def test_a_slow_sandbox_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    real = asyncio.create_subprocess_exec

    async def sleeping(*words: str, **options: Any) -> asyncio.subprocess.Process:
        process = await real(sys.executable, "-c", "import time; time.sleep(60)", **options)
        started.append(process.pid)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", sleeping)
    store = UploadStore(tmp_path / "uploads", sanitize_seconds=0.3)
    with pytest.raises(Problem, match="takes longer"):
        receive(store, png())
    assert not Path(f"/proc/{started[0]}").exists()

    async def left() -> None:
        task = asyncio.create_task(store.receive_file(incoming(png())))
        while len(started) < 2:
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    store = UploadStore(tmp_path / "uploads", sanitize_seconds=50)
    asyncio.run(left())
    assert not Path(f"/proc/{started[1]}").exists()
    assert not stored_files(tmp_path)


def test_a_crashed_sandbox_is_a_problem_of_the_file(
    store: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Problem, match="exceeds the limits"):
        receive(store, png())


def test_concurrent_sandboxes_are_limited(
    store: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = most = 0

    async def slow(path: Path, folder: Path, seconds: float) -> dict[str, Any]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.05)
        inside -= 1
        return {"error": "no"}

    monkeypatch.setattr(uploads, "_run_sanitizer", slow)

    async def many() -> list[BaseException | Upload]:
        coming = [store.receive_file(incoming(b"x")) for _ in range(10)]
        return await asyncio.gather(*coming, return_exceptions=True)

    async def twice() -> list[BaseException | Upload]:
        return [*await many(), *await many()]

    statuses = [getattr(one, "status_code", None) for one in asyncio.run(twice())]
    assert most == 2
    assert statuses == ([422] * 8 + [503] * 2) * 2


def test_one_client_cannot_take_all_uploads(
    store: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(path: Path, folder: Path, seconds: float) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(uploads, "_run_sanitizer", never)

    async def attack() -> tuple[int, int]:
        tasks = [
            asyncio.create_task(store.receive_file(incoming(b"x"), f"2001:db8::{number:x}"))
            for number in range(20)
        ]
        refused, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        other = asyncio.create_task(store.receive_file(incoming(b"x"), "1.2.3.4"))
        await asyncio.sleep(0.05)
        is_waiting = not other.done()
        for task in (*tasks, other):
            task.cancel()
        await asyncio.gather(*tasks, other, return_exceptions=True)
        return len(refused), is_waiting

    assert asyncio.run(attack()) == (16, True)


def test_a_write_error_is_a_problem(store: UploadStore, tmp_path: Path) -> None:
    store.close()  # deletes the folder
    with pytest.raises(Problem) as caught:
        receive(store, png())
    assert (caught.value.status_code, caught.value.problem_type) == (507, "disk")


@pytest.mark.parametrize(
    "name", ["VSEARCH_TOKEN", "AWS_SECRET_ACCESS_KEY", "CREDENTIALS_DIRECTORY", "HTTPS_PROXY"]
)
def test_secrets_are_not_passed_to_the_sandbox(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "secret")
    assert "secret" not in uploads._build_environment().values()


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
def test_display_names_are_cleaned(name: str, shown: str) -> None:
    assert clean_file_name(name) == shown


# --- over HTTP

UPLOADS = middleware.UPLOADS_PATH
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.fixture
def client(store: UploadStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(middleware, "MAX_UPLOAD_BYTES", 2_000_000)
    app = FastAPI()
    app.state.app_state = SimpleNamespace(
        upload_store=store, thumbnail_cache=SimpleNamespace(decode_limit=ConcurrencyLimit(1))
    )
    problems.install_handlers(app)
    app.include_router(upload_routes.router, prefix="/api/v1")
    app.add_middleware(
        middleware.SecurityMiddleware, access_policy=AccessPolicy(), metrics=ServerMetrics()
    )
    with TestClient(app, "http://localhost") as made:
        yield made


def test_an_image_is_uploaded_shown_and_deleted(client: TestClient) -> None:
    answer = client.post(UPLOADS, files={"file": ("../cat.png", png(side=500), "text/html")})
    assert answer.status_code == 201
    uploaded = answer.json()
    assert uploaded.keys() == {"upload_id", "kind", "name", "width", "height", "duration"}
    assert (uploaded["kind"], uploaded["name"]) == ("image", "cat.png")
    still = client.get(f"{UPLOADS}/{uploaded['upload_id']}/thumbnail?width=100")
    assert still.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(still.content)).size == (160, 160)
    assert client.delete(f"{UPLOADS}/{uploaded['upload_id']}").status_code == 204
    assert client.delete(f"{UPLOADS}/{uploaded['upload_id']}").status_code == 404
    assert client.get(f"{UPLOADS}/{uploaded['upload_id']}/thumbnail").status_code == 404


def test_a_clip_thumbnail_shows_its_first_frame(client: TestClient, tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [ColorScene(BLUE, 2)])
    uploaded = client.post(UPLOADS, files={"file": ("a.mp4", path.read_bytes())}).json()
    assert (uploaded["kind"], uploaded["duration"]) == ("clip", pytest.approx(2, abs=0.2))
    thumbnail = client.get(f"{UPLOADS}/{uploaded['upload_id']}/thumbnail").content
    still = Image.open(io.BytesIO(thumbnail))
    assert still.getpixel((still.width - 3, still.height * 5 // 8))[2] > 150  # type: ignore[index]


def problem(answer: Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"]


# Starlette leaves the file of an unterminated part to the garbage collector
unterminated_parts = pytest.mark.filterwarnings("ignore::ResourceWarning")


@unterminated_parts
def test_invalid_forms_are_problems(client: TestClient, tmp_path: Path) -> None:
    form = (400, "urn:vsearch:form")
    assert problem(client.post(UPLOADS, files={"other": png()})) == form
    assert problem(client.post(UPLOADS, files=[("file", png()), ("file", png())])) == form
    assert problem(client.post(UPLOADS, data={"file": "text"}, files={"x": b""})) == form
    assert problem(client.post(UPLOADS, json={})) == (415, "urn:vsearch:form")
    assert problem(client.post(UPLOADS, data={"file": "x"})) == (415, "urn:vsearch:form")
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"", b"nothing", b"--x\r\n", b"--x\r\nA: " + b"b" * 100_000, b"--x--\r\n"):
        assert problem(client.post(UPLOADS, content=body, headers=kind)) == form, body
    assert problem(client.post(UPLOADS, content=HEAD + b"broken off", headers=kind)) == form
    undefined = {"Content-Type": "multipart/form-data; boundary=x; charset=undefined"}
    assert problem(client.post(UPLOADS, content=HEAD, headers=undefined)) == form
    long = {"Content-Type": f"multipart/form-data; boundary={'x' * 1000}"}
    assert problem(client.post(UPLOADS, content=b"", headers=long))[0] in (400, 415)
    assert not stored_files(tmp_path)


def test_a_file_that_is_too_large_is_rejected_early(client: TestClient, tmp_path: Path) -> None:
    large = bytes(2_100_000)
    assert problem(client.post(UPLOADS, files={"file": large})) == (413, "urn:vsearch:too-large")
    uploaded = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(10**17)}
    assert problem(client.post(UPLOADS, content=b"", headers=uploaded))[0] == 413

    def chunks_without_length() -> Iterator[bytes]:
        yield HEAD
        for _ in range(30):
            yield bytes(100_000)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert problem(client.post(UPLOADS, content=chunks_without_length(), headers=kind))[0] == 413
    assert not stored_files(tmp_path)


@unterminated_parts
def test_temporary_files_are_closed_in_the_end(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[SpooledTemporaryFile[bytes]] = []

    def open_spooled(*words: Any, **named: Any) -> SpooledTemporaryFile[bytes]:
        opened.append(SpooledTemporaryFile(*words, **named))  # noqa: SIM115
        return opened[-1]

    monkeypatch.setattr(formparsers, "SpooledTemporaryFile", open_spooled)
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    left = {"file": ("a.png", png()[:60])}
    assert client.post(UPLOADS, files={"file": ("a.png", png())}).status_code == 201
    assert problem(client.post(UPLOADS, files=left))[0] == 422
    assert problem(client.post(UPLOADS, files={"other": bytes(1_500_000)}))[0] == 400
    assert problem(client.post(UPLOADS, files=[("file", png()), ("file", png())]))[0] == 400
    assert problem(client.post(UPLOADS, content=HEAD + bytes(1_500_000), headers=kind))[0] == 400
    assert len(opened) == 5
    assert all(file.closed for file in opened[:4])
