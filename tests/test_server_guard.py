"""Who may ask, from where, how fast, and what nobody may: the guard, sessions, limits of time, jobs and folders."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.testclient import TestClient

from faceedit.errors import UsageError
from facesearch.server.desk import Desk, shares
from facesearch.server.errors import RefusedError
from facesearch.server.guard import Keys, name_of
from facesearch.server.jobs import Jobs
from facesearch.server.reports import Reports
from facesearch.server.roots import Roots
from facesearch.server.service import while_there
from facesearch.server.settings import Limits, Settings
from facesearch.server.uploads import Uploads
from index.gallery import Gallery
from retrieval.answers import Answer
from retrieval.face_search import FaceSearch
from retrieval.query import Question
from tests.served import API, picture, serving, stand_in, write_faces

KEY = "a key of this test".replace(" ", "-")


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[FaceSearch]:
    with stand_in(tmp_path / "db") as opened:
        opened.index(write_faces(tmp_path / "photos"))
        yield opened


@pytest.fixture
def client(faces: FaceSearch) -> Iterator[TestClient]:
    with serving(faces) as (opened, _):
        yield opened


# --- names and sites ---


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "", "192.168.0.7", "localhost.evil"])
def test_another_name_is_refused_since_it_may_be_another_site_s(still_client: TestClient, host: str) -> None:
    said = still_client.get(f"{API}/faces", headers={"Host": host})
    assert (said.status_code, said.json()["code"]) == (421, "wrong_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:9", "127.1.2.3", "[::1]:8000"])
def test_its_own_names_are_served(still_client: TestClient, host: str) -> None:
    assert still_client.get(f"{API}/faces", headers={"Host": host}).status_code == 200


def test_a_name_that_was_given_is_served(faces: FaceSearch) -> None:
    with serving(faces, names=("Photos.Example",)) as (client, _):
        assert client.get(f"{API}/faces", headers={"Host": "photos.example"}).status_code == 200
    assert [name_of(host) for host in ("A:1", "[::1]:1", "[::1]", "a")] == ["a", "::1", "::1", "a"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8001"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_neither_change_nor_see_anything(client: TestClient, headers: dict[str, str]) -> None:
    assert client.patch(f"{API}/faces/1", json={"pose": 1}, headers=headers).json()["code"] == "other_site"
    assert client.get(f"{API}/faces/1/crop", headers=headers).status_code == 403
    assert client.get(f"{API}/faces/1").json()["origins"] == {"identity": "folder"}


def test_its_own_page_does(client: TestClient) -> None:
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.patch(f"{API}/faces/1", json={"pose": 1}, headers=own).status_code == 200


def test_every_answer_has_a_number_and_strict_headers(client: TestClient) -> None:
    for said in (
        client.get("/"),
        client.get(f"{API}/faces"),
        client.get("/nowhere"),
        client.get("/", headers={"Host": "x"}),
    ):
        assert (
            len(said.headers["x-request-id"]) == 16 and "default-src 'none'" in said.headers["content-security-policy"]
        )
        assert said.headers["x-content-type-options"] == "nosniff" and said.headers["x-frame-options"] == "DENY"
        assert "unsafe" not in said.headers["content-security-policy"]


# --- the key ---


def test_beyond_this_machine_it_takes_a_key() -> None:
    for host in ("0.0.0.0", "192.168.0.7", "::"):
        with pytest.raises(UsageError, match="give an --api-key"):
            Settings(host=host)
        assert Settings(host=host, key=KEY).key == KEY
    for short in ("", "123456789012345", "ü" * 20, "two words of it and more"):
        with pytest.raises(UsageError, match="give"):
            Settings(key=short)


PRIVATE = [
    "/metrics",
    f"{API}/faces",
    f"/{API}/faces",
    f"{API}/../v1/faces",
    f"{API}/jobs",
    f"{API}/gallery",
    "/nowhere",
]


@pytest.mark.parametrize("prefix", ["", "/faces"])
def test_without_the_key_nothing_is_told(still: FaceSearch, prefix: str) -> None:
    with serving(still, key=KEY, root_path=prefix) as (client, _):
        for path in (before + path for before in {"", prefix} for path in PRIVATE):
            said = client.get(path)
            assert (said.status_code, said.json()["code"]) == (401, "no_key"), path
        for open_ in ("/", "/docs", "/app.js", "/healthz", "/readyz", "/openapi.json", f"{API}/session"):
            assert client.get(open_).status_code == 200


def test_the_key_opens_by_header_or_once_for_a_cookie(faces: FaceSearch) -> None:
    with serving(faces, key=KEY) as (client, _):
        for headers in ({"Authorization": f"Bearer {KEY}"}, {"X-API-Key": KEY}):
            assert client.get(f"{API}/faces", headers=headers).status_code == 200
        assert client.post(f"{API}/session", json={"key": KEY[:-1]}).json()["code"] == "wrong_key"
        opened = client.post(f"{API}/session", json={"key": KEY})
        cookie = opened.headers["set-cookie"]
        assert opened.status_code == 204 and "HttpOnly" in cookie and "SameSite=strict" in cookie and KEY not in cookie
        assert client.get(f"{API}/faces").status_code == 200
        assert client.delete(f"{API}/session").status_code == 204
        assert client.get(f"{API}/faces").status_code == 401


def test_after_too_many_wrong_keys_even_the_right_one_waits(faces: FaceSearch) -> None:
    clock = [0.0]
    keys = Keys(Settings(key=KEY, limits=Limits(failures=3)), lambda: clock[0])
    for _ in range(3):
        with pytest.raises(RefusedError, match="not the server's API key"):
            keys.check("wrong", "1.2.3.4")
    with pytest.raises(RefusedError) as refused:
        keys.check(KEY, "1.2.3.4")
    assert (refused.value.status, refused.value.later) == (429, 61)
    keys.check(KEY, "5.6.7.8")
    clock[0] = 61.0
    keys.check(KEY, "1.2.3.4")


# --- waiting ---


def slow_request(*messages: dict[str, object], headers: Sequence[tuple[bytes, bytes]] = ()) -> Request:
    """One whose body comes as these messages, and then nothing more."""
    left = list(messages)

    async def receive() -> dict[str, object]:
        if not left:
            await asyncio.sleep(60)
        return left.pop(0)

    return Request({"type": "http", "method": "POST", "headers": list(headers)}, receive)


def test_an_upload_that_does_not_end_is_given_up() -> None:
    uploads = Uploads(Limits(seconds=0.05))

    async def read() -> None:
        with uploads.place() as upload:
            await upload.read(slow_request({"type": "http.request", "body": b"abc", "more_body": True}))

    with pytest.raises(RefusedError) as refused:
        asyncio.run(read())
    assert refused.value.status == 408 and uploads.held == 0


def test_who_leaves_is_not_worked_for_any_more() -> None:
    stopped = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    async def ask() -> None:
        await while_there(slow_request({"type": "http.disconnect"}), work())
        await asyncio.sleep(0)

    async def both() -> None:
        with pytest.raises(ClientDisconnect):
            await ask()
        await asyncio.sleep(0.01)

    asyncio.run(both())
    assert stopped == [True]


class Held:
    """Answers nothing until it may."""

    def __init__(self) -> None:
        self.go, self.begun = Event(), Event()
        self.calls: list[int] = []

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        self.calls.append(len(questions))
        self.begun.set()
        assert self.go.wait(10)
        if "bad" in map(str, questions):
            raise UsageError("bad: give a good one")
        return [f"answer to {one}" for one in questions]  # type: ignore[misc]


def questions(*texts: str) -> list[Question]:
    return list(texts)  # type: ignore[arg-type]


async def begun(held: Held, desk: Desk, first: str) -> asyncio.Task[list[Answer]]:
    """The first question, once it is being answered."""
    task = asyncio.create_task(desk.ask(questions(first)))
    await asyncio.to_thread(held.begun.wait, 10)
    return task


def run_with(limits: Limits, story: Callable[[Held, Desk], object]) -> Held:
    held = Held()
    desk = Desk(held.ask, limits)
    try:
        asyncio.run(story(held, desk))  # type: ignore[arg-type]
    finally:
        held.go.set()
        desk.close()
    return held


def test_questions_that_wait_are_answered_together() -> None:
    async def story(held: Held, desk: Desk) -> None:
        first = await begun(held, desk, "0")
        rest = [asyncio.create_task(desk.ask(questions(str(n)))) for n in range(1, 6)]
        other = asyncio.create_task(desk.do(lambda: "other"))
        last = asyncio.create_task(desk.ask(questions("6", "7", "8", "9", "10")))
        await asyncio.sleep(0.01)
        held.go.set()
        assert str(await first) == "['answer to 0']"
        assert [str(await one) for one in rest] == [f"['answer to {n}']" for n in range(1, 6)]
        assert await other == "other" and len(await last) == 5

    assert run_with(Limits(together=4), story).calls == [1, 4, 1, 4, 1]


def test_who_asks_much_keeps_nobody_waiting_for_all_of_it() -> None:
    """A sweep of ten and three that ask one thing each, after it: these are answered with its first questions."""
    order: list[str] = []

    async def asked(desk: Desk, name: str, *texts: str) -> None:
        assert len(await desk.ask(questions(*texts))) == len(texts)
        order.append(name)

    async def story(held: Held, desk: Desk) -> None:
        first = await begun(held, desk, "0")
        sweep = asyncio.create_task(asked(desk, "sweep", *(f"s{n}" for n in range(10))))
        single = [asyncio.create_task(asked(desk, str(n), str(n))) for n in range(3)]
        left = asyncio.create_task(desk.ask(questions(*(f"l{n}" for n in range(10)))))
        await asyncio.sleep(0.01)
        left.cancel()
        await asyncio.sleep(0.01)
        held.go.set()
        await asyncio.gather(first, sweep, *single)

    assert run_with(Limits(together=4), story).calls == [1, 4, 4, 4, 1]
    assert order == ["0", "1", "2", "sweep"]


def test_turns_are_shared_one_each_and_again() -> None:
    assert shares([1, 20, 1, 3], 8) == [1, 3, 1, 3]
    assert shares([5], 8) == [5] and shares([2, 2, 2], 2) == [1, 1, 0] and shares([], 3) == []


def test_a_bad_question_costs_nobody_else_an_answer() -> None:
    async def story(held: Held, desk: Desk) -> None:
        first = await begun(held, desk, "0")
        rest = [asyncio.create_task(desk.ask(questions(text))) for text in ("1", "bad", "2")]
        await asyncio.sleep(0.01)
        held.go.set()
        done = await asyncio.gather(first, *rest, return_exceptions=True)
        assert [str(one) for one in done] == [
            "['answer to 0']",
            "['answer to 1']",
            "bad: give a good one",
            "['answer to 2']",
        ]

    run_with(Limits(), story)


def test_a_full_queue_refuses_and_who_gives_up_frees_a_place() -> None:
    async def story(held: Held, desk: Desk) -> None:
        first = await begun(held, desk, "0")
        waiting = [asyncio.create_task(desk.ask(questions(text))) for text in ("1", "2")]
        await asyncio.sleep(0.01)
        with pytest.raises(RefusedError) as refused:
            await desk.ask(questions("3"))
        assert (refused.value.status, refused.value.later) == (503, 1)
        waiting[0].cancel()
        await asyncio.sleep(0.01)
        assert desk.waiting == 1
        third = asyncio.create_task(desk.ask(questions("3")))
        await asyncio.sleep(0.01)
        held.go.set()
        assert str(await third) == "['answer to 3']"
        await first
        await waiting[1]

    assert run_with(Limits(waiting=2), story).calls == [1, 2]


def test_who_asks_when_the_server_ends_is_not_kept_waiting() -> None:
    desk = Desk(Held().ask, Limits())
    desk.close()
    with pytest.raises(RefusedError, match="the server is being ended"):
        asyncio.run(desk.ask(questions("0")))


# --- jobs ---


def ended(jobs: Jobs, id_: int) -> str:
    for _ in range(500):
        if not jobs.get(id_).is_open:
            break
        time.sleep(0.01)
    return jobs.get(id_).state


def test_a_job_indexes_a_folder_below_a_root_and_tells_what_came_of_it(tmp_path: Path) -> None:
    root = write_faces(tmp_path / "root" / "holiday").parent
    with serving(stand_in(tmp_path / "new"), roots=(root,)) as (client, served):
        assert client.get(f"{API}/folders").json() == {"folders": ["holiday"]}
        assert client.get(f"{API}/folders", params={"folder": "holiday"}).json() == {"folders": ["anna", "ben"]}
        begun = client.post(f"{API}/jobs", json={"kind": "index", "root": 0, "folder": "holiday"})
        assert begun.status_code == 202
        assert ended(served.jobs, 1) == "done"
        job = client.get(f"{API}/jobs/1").json()
        assert (job["outcome"]["described"], job["done"], job["of"]) == (6, 6, 6)
        with client.stream("GET", f"{API}/jobs/1/events") as events:
            assert events.read().decode().startswith('event: job\ndata: {"id": 1, "kind": "index"')
        for kind in ("verify", "compact"):
            number = client.post(f"{API}/jobs", json={"kind": kind}).json()["id"]
            assert ended(served.jobs, number) == "done"
        assert client.get(f"{API}/jobs/2").json()["outcome"]["sound"] is True
        out = client.post(f"{API}/jobs", json={"kind": "export", "root": 0, "folder": "copy"}).json()
        assert ended(served.jobs, out["id"]) == "done" and (root / "copy" / "faces.jsonl").is_file()
    with serving(stand_in(tmp_path / "new")) as (client, _):  # another server
        assert [(job["kind"], job["state"]) for job in client.get(f"{API}/jobs").json()["jobs"]] == [
            ("export", "done"),
            ("compact", "done"),
            ("verify", "done"),
            ("index", "done"),
        ]


def test_a_job_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "root" / "empty").mkdir(parents=True)
    with serving(stand_in(tmp_path / "db"), roots=(tmp_path / "root",)) as (client, served):
        client.post(f"{API}/jobs", json={"kind": "index", "root": 0, "folder": "empty"})
        assert ended(served.jobs, 1) == "failed"
        outcome = client.get(f"{API}/jobs/1").json()["outcome"]
        assert outcome["code"] == "no_images" and outcome["hint"] == "give the folder of the gallery's images"


def test_jobs_are_cancelled_while_they_wait_and_while_they_run(tmp_path: Path) -> None:
    jobs, going = Jobs(tmp_path, 3), Event()

    def work(tell: Callable[[str, int, int], None]) -> dict[str, object]:
        for n in range(1_000):
            tell("working", n, 1_000)
            going.set()
            time.sleep(0.01)
        return {}

    try:
        for _ in range(3):
            jobs.add("test", {}, work)
        with pytest.raises(RefusedError, match="too many jobs"):
            jobs.add("test", {}, work)
        assert going.wait(10)
        assert jobs.cancel(2).state == "cancelled"
        jobs.cancel(1)
        assert ended(jobs, 1) == "cancelled"
        with pytest.raises(RefusedError, match="is over"):
            jobs.cancel(1)
    finally:
        jobs.close()
    later = Jobs(tmp_path, 3)
    assert [job.state for job in later.all()] == ["interrupted", "cancelled", "cancelled"]
    later.close()


@pytest.mark.parametrize("content", [b"", b"[[[", b"[1]", b'[{"id": -1}]', b'{"a": 1}', b"[" * 100_000, b"\xff"])
def test_damaged_notes_of_jobs_are_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "jobs.json").write_bytes(content)
    jobs = Jobs(tmp_path, 1)
    assert jobs.all() == []
    jobs.close()


SENSELESS: list[tuple[str, object]] = [
    *(("asked", 5), ("asked", None), ("outcome", "text"), ("outcome", [1]), ("doing", ["x"]), ("kind", {"a": 1})),
    *(
        ("ended", None),
        ("done", "x"),
        ("done", -1),
        ("of", 1e308),
        ("of", True),
        ("state", "over"),
        ("state", ["done"]),
    ),
    *(("id", 2**31 + 5), ("id", 0), ("id", True), ("id", "1")),
]


NOTE = {"id": 1, "kind": "index", "asked": {}, "state": "done", "outcome": {"described": 3}}


@pytest.mark.parametrize(("name", "value"), SENSELESS)
def test_notes_of_jobs_that_say_what_no_job_can_are_passed_over(tmp_path: Path, name: str, value: object) -> None:
    for said, known in ((NOTE, 1), (NOTE | {name: value}, 0)):
        (tmp_path / "jobs.json").write_text(json.dumps([said]), encoding="utf-8")
        jobs = Jobs(tmp_path, 1)
        assert len(jobs.all()) == known
        jobs.close()


@pytest.mark.parametrize(("name", "value"), SENSELESS[::6])
def test_jobs_are_told_whatever_their_notes_say(faces: FaceSearch, name: str, value: object) -> None:
    """They lie in the gallery, which may be a stranger's: else the list of jobs could not be told any more."""
    faces.gallery.verify()
    for said, known in ((NOTE, 1), (NOTE | {name: value}, 0)):
        (faces.folder / "jobs.json").write_text(json.dumps([said]), encoding="utf-8")
        with serving(faces) as (client, _):
            answer = client.get(f"{API}/jobs")
            assert (answer.status_code, len(answer.json()["jobs"])) == (200, known)


def test_nothing_is_changed_while_a_job_writes(faces: FaceSearch) -> None:
    going, go = Event(), Event()

    def work(tell: Callable[[str, int, int], None]) -> dict[str, object]:
        going.set()
        assert go.wait(10)
        return {}

    with serving(faces) as (client, served):
        served.jobs.add("index", {}, work)
        assert going.wait(10)
        said = client.patch(f"{API}/faces/1", json={"pose": 1})
        assert (said.status_code, said.json()["code"]) == (409, "job_under_way")
        assert client.post(f"{API}/query", params={"of": 1}).status_code == 200
        go.set()


# --- folders ---

OUTSIDE = ["..", "a/../..", "/etc", "link", "link/deeper", "a\0b", "..\\x", "/", "x" * 5_000, "loop/loop"]


@pytest.mark.parametrize("below", OUTSIDE)
def test_no_name_leads_out_of_a_root(tmp_path: Path, below: str) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "secret" / "deeper").mkdir(parents=True)
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to(root / "loop")
    roots = Roots([root])
    with pytest.raises(RefusedError):
        roots.folders(0, below)
    with pytest.raises(RefusedError):
        roots.folders(1, "")
    assert roots.folders(0, "") == ["a"] or "link" in roots.folders(0, "")
    with pytest.raises(RefusedError, match="without folders to look into"):
        Roots([]).place(0, "")


def test_what_was_uploaded_is_not_in_the_log(faces: FaceSearch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with serving(faces) as (client, _):
        client.post(f"{API}/query", files={"picture": ("secret.png", picture(), "image/png")})
        client.get(f"{API}/faces", params={"where": "identity = 'secret'"})
        client.get("/secret")
    told = " ".join(record.getMessage() for record in caplog.records if record.name == "facesearch.access")
    assert f"POST {API}/query 200" in told and "secret" not in told


def test_what_keeps_all_threads_keeps_nobody_from_seeing_whether_the_server_is_well(faces: FaceSearch) -> None:
    """As changes that wait for their turn; an orchestrator would end it."""
    go, count = Event(), 60

    class Slow(Reports):
        def all(self) -> list[dict[str, object]]:
            assert go.wait(60)
            return []

    with serving(faces) as (client, served), ThreadPoolExecutor(count) as pool:
        served.reports = Slow(faces.folder)
        kept = [pool.submit(client.get, f"{API}/reports") for _ in range(count)]
        try:
            looks = [client.get(name) for name in ("/healthz", "/readyz", "/metrics")]
            assert [look.status_code for look in looks] == [200] * 3 and not any(one.done() for one in kept)
        finally:
            go.set()
        assert {one.result().status_code for one in kept} == {200}


def test_who_changes_what_another_process_writes_is_told_when_to_ask_again(faces: FaceSearch) -> None:
    with serving(faces) as (client, _), Gallery.open(faces.folder) as another, another.writing():
        said = client.patch(f"{API}/faces/1", json={"pose": 1})
        assert (said.status_code, said.json()["code"], said.headers["Retry-After"]) == (409, "gallery_locked", "5")


def test_a_gallery_that_hangs_is_told_after_a_while_by_those_who_look(faces: FaceSearch) -> None:
    """As where its database does: then even looks have no threads left."""
    go = Event()
    with serving(faces, Limits(look_seconds=0.2)) as (client, served):
        served.metrics.gauge("hangs", "Nothing.", lambda: float(go.wait(60)))
        try:
            for _ in range(3):
                said = client.get("/metrics")
                assert (said.status_code, said.json()["code"]) == (503, "not_answering")
            assert said.headers["Retry-After"] == "5"
            assert (client.get("/readyz").status_code, client.get("/healthz").status_code) == (503, 200)
        finally:
            go.set()
        assert client.get("/readyz").status_code == 200
