"""The page in a real browser, as a person uses it: by mouse, by keys, on a phone; with nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceedit.synth.scene import ILLUMINATIONS
from facesearch.server.pages import page_files
from facesearch.server.service import Service
from retrieval.face_search import FaceSearch
from tests.conftest import blob_face
from tests.served import knowing, live, over, picture, stand_in, write_faces, write_people

pytestmark = pytest.mark.slow
PAGE = Path(__file__).resolve().parent.parent / "facesearch" / "server" / "page"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = find_spec("axe_playwright_python")
RECALL = {
    rank: {"value": value, "low": value - 0.1, "high": 1.0} for rank, value in (("1", 0.8), ("5", 0.9), ("10", 1.0))
}
BY_POSE = {str(pose): {"queries": 3, "1": 0.8, "5": 0.9, "10": 1.0} for pose in (-45, -30, -15, 0, 15, 30, 45)}
REPORT = {
    **{"task": "pose", "queries": 21, "gallery": 21, "recall": RECALL, "baselines": {"unedited_pixels": RECALL}},
    **{"by_source": BY_POSE, "by_target": BY_POSE, "first_result": {"identity": 0.9, "pose": 0.95}},
    **{
        "decided_accuracy": 0.9,
        "decided_within_one": 1.0,
        "decided_confusion": [[3 * (a == b) for a in range(7)] for b in range(7)],
    },
    **{
        "right_distances": {"half": 0.2, "most": 0.4, "nearly_all": 0.6},
        "about": {"data": "<b>labelled</b>", "seed": 0},
    },
}
FILE = """(() => {
    const data = new DataTransfer();
    const content = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    data.items.add(new File([content], "some.png", { type: "image/png" }));
    return data;
})()"""  # what is dropped or pasted, of `text` in base 64
PATIENCE = 30_000  # milliseconds: the machine may be busy


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[..., Any]]:
    """Starts a browser, with these arguments."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("no chromium: apt install chromium")
    with sync_playwright() as playwright, ExitStack() as opened:
        yield lambda *arguments: opened.enter_context(
            playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *arguments])
        )


@pytest.fixture(scope="module")
def browser(chromium: Callable[..., Any]) -> Any:
    return chromium()


class Tab:
    """A page of the browser that remembers what it should not have done."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.address = address
        self.wrong: list[str] = []
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE)
        self.page = self.new()

    def new(self) -> Any:
        page = self.context.new_page()
        page.on("console", lambda said: self.wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda asked: self._asked(asked.url))
        return page

    def _asked(self, url: str) -> None:
        if not url.startswith((self.address, "blob:", "data:")):
            self.wrong.append(url)

    def open(self, place: str) -> Any:
        self.page.goto(self.address + place)
        return self.page

    def answered(self) -> None:
        """Wait until what is shown answers what the address asks."""
        self.page.locator(".grid li").first.wait_for()
        self.page.locator("main:not([aria-busy])").wait_for()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "photos", 30)


@pytest.fixture
def faces(photos: Path, tmp_path: Path) -> Iterator[FaceSearch]:
    with over(photos, tmp_path / "db") as opened:
        yield opened


@pytest.fixture
def tab(browser: Any, faces: FaceSearch) -> Iterator[Tab]:
    with live(faces, roots=(faces.gallery.config.image_root,)) as (address, served):
        served.reports.keep(REPORT)
        opened = Tab(browser, address)
        yield opened
        opened.context.close()
        assert opened.wrong == []


def write_scene(path: Path) -> Path:
    """A photograph, not square: in it the stand-in sees two faces."""
    noise = np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((1600, 900)).save(path)
    return path


def asked(page: Any) -> str:
    return str(page.evaluate("location.hash"))


def until(check: Callable[[], bool]) -> None:
    """Wait until it is so."""
    end = time.monotonic() + PATIENCE / 1000
    while not check():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def endless(tell: Any) -> dict[str, Any]:
    """A job that ends when it is cancelled, however long that takes."""
    for n in count(1):
        tell("working", min(n, 2_999), 3_000)
        time.sleep(0.01)
    return {}


# --- the whole story ---


def test_from_an_empty_folder_to_a_named_person_at_another_pose_and_all_that_comes_between(
    browser: Any, tmp_path: Path
) -> None:
    root = write_faces(tmp_path / "root" / "holiday").parent
    faces = stand_in(tmp_path / "db")
    with live(faces, roots=(root,)) as (address, served):
        tab = Tab(browser, address)
        page = tab.open("")
        make_a_gallery(page)
        page.set_input_files("input[type=file]", root / "holiday" / "anna" / "0.png")
        tab.answered()
        page.get_by_role("radio", name="30° to the right").click()
        page.wait_for_url(re.compile("pose=30"))
        tab.answered()
        name_the_first(page, "Clara")
        assert asked(page) == "#/find?u=1&pose=30"
        page.go_back()  # out of the large picture's address, which Escape left behind
        page.go_back()
        page.go_back()
        until(lambda: asked(page) == "#/find?u=1")
        tab.answered()
        stop_a_job(tab, served)
        assert asked(page) == "#/find?u=1"  # the other tab went elsewhere
        tab.answered()
        assert tab.wrong == []
    port = int(address.rsplit(":", 1)[1].strip("/"))
    page.get_by_role("radio", name="15° to the left").click()
    page.get_by_text("The server does not answer.").filter(visible=True).first.wait_for()
    tab.wrong.clear()  # a browser itself tells that nobody answers
    with live(faces, port=port, roots=(root,)):
        page.get_by_role("button", name="Try again").click()  # the photograph is in the page: it need not come again
        tab.answered()
        assert asked(page) == "#/find?u=1&pose=-15"
        page.set_viewport_size({"width": 360, "height": 740})
        page.get_by_role("radio", name="30° to the right").click()
        page.locator(".grid .who", has_text="Clara").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        tab.context.close()
        assert tab.wrong == []


def make_a_gallery(page: Any) -> None:
    """Of the folder `holiday`, where there is none."""
    page.get_by_role("heading", name="No gallery yet").wait_for()
    page.get_by_role("link", name="Make one of a folder here").click()
    page.get_by_role("button", name="Open holiday").click()
    page.get_by_role("button", name="Add the pictures of holiday").click()
    page.get_by_text("6 faces in the gallery: 6 described").wait_for()
    page.get_by_role("link", name="Find").click()
    page.reload()


def name_the_first(page: Any, name: str) -> None:
    page.locator(".result").first.click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Save").click()
    page.get_by_text(f"Named {name}.").wait_for()
    page.keyboard.press("Escape")
    page.locator(".grid .who", has_text=name).wait_for()


def stop_a_job(tab: Tab, served: Service) -> None:
    """In another tab."""
    served.jobs.add("verify", {}, endless)
    page = tab.new()
    page.goto(f"{tab.address}#/gallery")
    page.get_by_text(re.compile(r"working: [\d,]+ of 3,000")).wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("cancelled").wait_for()
    page.close()


def test_a_photograph_of_several_is_dropped_and_one_of_them_chosen(tab: Tab, tmp_path: Path) -> None:
    page = tab.open("#/find")
    page.get_by_text("Drop a photograph here").wait_for()
    content = write_scene(tmp_path / "scene.jpg").read_bytes()
    page.evaluate(
        f"""text => {{
            const data = {FILE};
            for (const name of ["dragenter", "dragover", "drop"])
                document.body.dispatchEvent(new DragEvent(name, {{ dataTransfer: data, bubbles: true }}));
        }}""",
        b64encode(content).decode(),
    )
    tab.answered()
    assert page.locator(".whom .box").count() == 2
    assert page.get_by_role("button", name="Face 1 of 2, chosen").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Face 2 of 2").click()
    page.wait_for_url(re.compile("face=2"))
    page.get_by_role("button", name="Face 2 of 2, chosen").wait_for()


def test_a_photograph_is_pasted(tab: Tab, tmp_path: Path) -> None:
    page = tab.open("#/find")
    page.get_by_text("Drop a photograph here").wait_for()
    page.evaluate(
        f"""text => document.dispatchEvent(
            new ClipboardEvent("paste", {{ clipboardData: {FILE}, bubbles: true, cancelable: true }}))""",
        b64encode(picture()).decode(),
    )
    tab.answered()
    assert asked(page) == "#/find?u=1"


def test_the_camera_takes_a_picture(chromium: Callable[..., Any], faces: FaceSearch) -> None:
    devices = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with live(faces) as (address, _):
        tab = Tab(chromium(*devices), address)
        page = tab.open("#/find")
        page.get_by_role("button", name="Use the camera").click()
        page.get_by_role("button", name="Take the picture").click()
        tab.answered()
        assert asked(page) == "#/find?u=1" and page.locator("video").count() == 0
        tab.context.close()
        assert tab.wrong == []


def test_where_browsers_give_no_camera_the_page_says_why(chromium: Callable[..., Any], faces: FaceSearch) -> None:
    name = "photos.example"
    with live(faces, names=(name,)) as (address, _):
        opened = chromium(f"--host-resolver-rules=MAP {name} 127.0.0.1")
        tab = Tab(opened, address.replace("127.0.0.1", name))
        page = tab.open("#/find")
        page.get_by_text("For the camera, open this page on the machine that serves it, or by HTTPS.").wait_for()
        assert page.get_by_role("button", name="Use the camera").count() == 0
        page.locator(".strip a").first.click()
        tab.answered()
        tab.context.close()


def test_a_result_is_compared_with_who_was_asked_about(browser: Any, photos: Path, tmp_path: Path) -> None:
    with knowing(tmp_path / "knows") as faces:
        faces.index(photos)
        with live(faces) as (address, _):
            tab = Tab(browser, address)
            page = tab.open("#/find?of=1&open=2")
            page.get_by_role("button", name="Is this the person asked about?").click()
            page.get_by_text("Probably ").wait_for()
            page.get_by_text("is taken for one person").wait_for()
            page = tab.open("#/photos")
            page.get_by_role("button", name="Select").click()
            for at in (0, 1):
                page.locator(".pick input").nth(at).check()
            page.get_by_role("button", name="The same person?").click()
            page.get_by_text("Probably ").wait_for()
            tab.context.close()
            assert tab.wrong == []


def test_the_dial_turns_by_keys_and_by_dragging(tab: Tab) -> None:
    page = tab.open("#/find?of=1")
    tab.answered()
    page.get_by_role("radio", name="frontal").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("pose=15"))
    page.keyboard.press("End")
    page.wait_for_url(re.compile("pose=45"))
    assert page.get_by_role("radio", name="45° to the right").get_attribute("aria-checked") == "true"
    begin = page.get_by_role("radio", name="45° to the right").bounding_box()
    end = page.get_by_role("radio", name="30° to the left").bounding_box()
    page.mouse.move(begin["x"] + 20, begin["y"] + 20)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + 20, steps=8)
    page.mouse.up()
    page.wait_for_url(re.compile("pose=-30"))
    page.get_by_role("button", name="As it is").click()
    until(lambda: "pose" not in asked(page))
    tab.answered()


def test_lights_are_chosen_on_the_hemisphere_each_with_its_look(tab: Tab) -> None:
    page = tab.open("#/find?of=1")
    tab.answered()
    page.locator("summary", has_text="Change the light").click()
    assert page.locator(".lamp").count() == 19
    page.locator(".lamp[aria-label^='light 9,']").hover()
    page.get_by_role("img", name="light 9, 45° from the right").wait_for()
    page.locator(".lamp[aria-label^='light 9,']").click()
    page.wait_for_url(re.compile("light=9"))
    page.get_by_text("Imagined: light 9").wait_for()
    page.get_by_role("button", name="Room light").click()
    page.wait_for_url(re.compile("light=0"))


def test_what_hides_the_face_is_painted_over_and_completed(tab: Tab) -> None:
    page = tab.open("#/find?of=1")
    tab.answered()
    page.locator("summary", has_text="Complete it").click()
    canvas = page.locator("canvas")
    canvas.scroll_into_view_if_needed()
    place = canvas.bounding_box()
    page.mouse.move(place["x"] + 60, place["y"] + 60)
    page.mouse.down()
    page.mouse.move(place["x"] + 120, place["y"] + 90, steps=4)
    page.mouse.up()
    canvas.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press(" ")
    page.get_by_role("button", name="Complete it", exact=True).click()
    page.wait_for_url(re.compile("u=1.*inpaint=1|inpaint=1.*u=1"))
    tab.answered()
    page.get_by_role("button", name="Show it with what hides it").click()
    until(lambda: "inpaint" not in asked(page))


# --- addresses ---


def test_back_goes_through_what_was_seen_and_an_address_opens_it_again(tab: Tab) -> None:
    page = tab.open("#/find?of=1")
    tab.answered()
    page.get_by_role("radio", name="15° to the left").click()
    page.wait_for_url(re.compile("pose=-15"))
    tab.answered()
    page.locator(".result").nth(2).click()
    page.get_by_role("dialog").wait_for()
    opened = page.url
    page.go_back()
    page.get_by_role("dialog").wait_for(state="detached")
    page.go_back()
    until(lambda: asked(page) == "#/find?of=1")
    other = tab.new()
    other.goto(opened)
    other.get_by_role("dialog").wait_for()
    other.get_by_role("link", name="Search from here").click()
    other.get_by_role("dialog").wait_for(state="detached")
    assert asked(page) == "#/find?of=1" != asked(other)  # two tabs, each where it is


def test_filters_are_part_of_the_address(tab: Tab) -> None:
    page = tab.open("#/find?of=1&person=ben")
    tab.answered()
    assert set(page.locator(".grid .who").all_inner_texts()) and all(
        text.startswith("ben") for text in page.locator(".grid .who").all_inner_texts()
    )
    page.get_by_text("without a name").click()
    page.locator(".note", has_text="Nothing in the gallery fits these filters.").wait_for()
    page.get_by_role("button", name="Clear filters").click()
    tab.answered()
    assert asked(page) == "#/find?of=1"


def test_photos_are_filtered_by_the_day_when_they_came(tab: Tab) -> None:
    tomorrow = str(date.today() + timedelta(2))
    page = tab.open(f"#/photos?until={tomorrow}")
    page.get_by_text("30 photos").wait_for()
    page.get_by_label("Added from").fill(tomorrow)
    page.get_by_label("Added from").blur()
    page.get_by_text("The gallery holds no photos that fit.").wait_for()
    assert asked(page) == f"#/photos?until={tomorrow}&since={tomorrow}"


def test_a_photograph_is_forgotten_with_the_page(tab: Tab) -> None:
    tab.open("#/find?u=1&pose=30").get_by_text("This photograph is not here any more").wait_for()


# --- people ---


def test_people_are_grouped_named_merged_split_and_kept_apart(browser: Any, tmp_path: Path) -> None:
    with knowing(tmp_path / "db") as faces:
        faces.index(write_people(tmp_path / "photos"))
        with live(faces) as (address, _):
            tab = Tab(browser, address)
            page = tab.open("#/people")
            page.get_by_role("button", name="Group the faces").click()
            page.get_by_text("3 people", exact=True).wait_for()
            page.locator(".people .result").first.click()
            page.get_by_label("Name of all these faces").fill("Clara")
            page.get_by_role("button", name="Save").click()
            page.get_by_text("4 faces named.").wait_for()
            page.get_by_role("button", name="Select").click()
            page.locator(".pickable input").first.check()
            page.get_by_role("button", name="These are somebody else").click()
            page.get_by_text("They are Person 4 now.").wait_for()
            page.get_by_role("link", name="Everybody").click()
            page.get_by_text("4 people", exact=True).wait_for()
            page.get_by_role("button", name="Select").click()
            for title in ("Person 2", "Person 3"):
                page.get_by_role("checkbox", name=f"Select: {title}").check()
            page.get_by_role("button", name="They are not the same").click()
            page.get_by_text("Kept apart").wait_for()
            page.get_by_role("button", name="Select").click()
            for title in ("Person 2", "Person 3"):
                page.get_by_role("checkbox", name=f"Select: {title}").check()
            page.get_by_role("button", name="They are one person").click()
            page.get_by_text("Person 2 has 5 faces now.").wait_for()
            page.get_by_text("3 people", exact=True).wait_for()
            page.get_by_label("Show").select_option("With a name")
            page.wait_for_url(re.compile("named=yes"))
            page.locator(".people .who", has_text="Clara").wait_for()
            assert faces.gallery.people.get(2).faces == 5
            tab.context.close()
            assert tab.wrong == []


# --- photos and gallery ---


def test_photos_are_named_together_and_hidden(tab: Tab, faces: FaceSearch) -> None:
    page = tab.open("#/photos")
    page.get_by_text("30 photos").wait_for()
    page.get_by_role("button", name="Select").click()
    for at in (0, 1, 2):
        page.locator(".pick input").nth(at).check()
    page.get_by_label("Name for all").fill("Dora")
    page.get_by_role("button", name="Save").click()
    page.locator("#said", has_text="3 faces changed.").wait_for(state="attached")
    assert [face.identity for face in faces.gallery.get([1, 2, 3])] == ["Dora"] * 3
    page.get_by_role("button", name="Done").click()
    page.locator(".sheet a").first.click()
    page.get_by_role("button", name="Hide this face").click()
    page.get_by_text("29 photos").wait_for()
    page.get_by_text("1 face hidden.").wait_for()
    assert [one.name for one in faces.hidden()] == ["anna/0.png"]
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("30 photos").wait_for()
    page.get_by_text("1 face hidden.").wait_for(state="detached")
    [back] = faces.gallery.all_ids_of(["anna/0.png"])["anna/0.png"]
    assert back > 30 and faces.gallery.get([back])[0].identity == "Dora"  # what a hand said is said again
    page.get_by_role("button", name="Select").click()
    for at in (3, 4):
        page.locator(".pick input").nth(at).check()
    page.get_by_role("button", name="Hide these faces").click()
    page.get_by_text("28 photos").wait_for()
    page.get_by_text("2 faces hidden.").wait_for()


def test_hidden_faces_are_listed_and_brought_back(tab: Tab, faces: FaceSearch) -> None:
    names = sorted(faces.remove(1, 2, 3, hide=True).hidden)
    page = tab.open("#/gallery")
    page.get_by_text("3 faces stay away when pictures are looked through again.").wait_for()
    page.get_by_role("button", name="Look through its pictures again").click()
    page.get_by_text("3 left out since they are hidden").wait_for()
    page.get_by_role("button", name=f"Bring back {names[1]}").click()
    page.get_by_text(f"{names[1]} is back.").wait_for()
    page.get_by_text("2 faces stay away").wait_for()
    assert sorted(one.name for one in faces.hidden()) == [names[0], names[2]]
    faces.gallery.config.image_root.joinpath(names[0]).unlink()
    page.get_by_role("button", name=f"Bring back {names[0]}").click()
    page.get_by_text(f"{names[0]} is not hidden any more").wait_for()


def test_a_job_is_watched_and_stopped(browser: Any, tmp_path: Path) -> None:
    with stand_in(tmp_path / "db") as faces:
        faces.index(write_faces(tmp_path / "photos"))
        with live(faces) as (address, served):
            served.jobs.add("verify", {}, endless)
            tab = Tab(browser, address)
            page = tab.open("#/gallery")
            page.get_by_text(re.compile(r"working: [\d,]+ of 3,000")).wait_for()
            page.get_by_role("button", name="Stop").click()
            page.get_by_text("cancelled").wait_for()
            page.get_by_role("button", name="Check that it is sound").click()
            page.get_by_text("6 images: 6 descriptors agree with their hash").wait_for()
            tab.context.close()
            assert tab.wrong == []


def test_the_page_goes_on_when_the_server_comes_back(browser: Any, faces: FaceSearch) -> None:
    with live(faces) as (address, _):
        tab = Tab(browser, address)
        page = tab.open("#/find?of=1")
        tab.answered()
    port = int(address.rsplit(":", 1)[1].strip("/"))
    page.get_by_role("radio", name="15° to the left").click()
    page.get_by_text("The server does not answer.").filter(visible=True).first.wait_for()
    with live(faces, port=port):
        page.get_by_role("button", name="Try again").click()
        tab.answered()
        assert "pose=-15" in asked(page)
    tab.context.close()


def test_the_key_is_asked_for_once(browser: Any, faces: FaceSearch) -> None:
    key = "the-key-of-this-test"
    with live(faces, key=key) as (address, _):
        tab = Tab(browser, address)
        page = tab.open("#/find?of=1")
        page.get_by_label("API key").fill("wrong")
        page.get_by_role("button", name="Open").click()
        page.get_by_text("this is not the server's API key").wait_for()
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Open").click()
        tab.answered()
        page.reload()
        tab.answered()
        assert page.get_by_label("API key").count() == 0
        tab.context.close()


# --- for everybody ---

PLACES = [
    "#/find",
    "#/find?of=1&pose=30&light=9&inpaint=1&person=ben",
    "#/find?of=1&open=2",
    "#/photos",
    "#/people",
    "#/gallery",
    "#/reports",
    "#/reports?report=1",
    "docs",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_keeps_anybody_out(browser: Any, tab: Tab, place: str, scheme: str) -> None:
    assert AXE is not None and AXE.submodule_search_locations is not None
    source = (Path(AXE.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")
    page = tab.page
    page.emulate_media(color_scheme=scheme)
    tab.open(place)
    page.wait_for_load_state("networkidle")
    page.evaluate(source)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in serious] == []


@pytest.mark.parametrize("place", PLACES)
def test_a_phone_is_wide_enough(browser: Any, tab: Tab, place: str) -> None:
    page = tab.page
    page.set_viewport_size({"width": 360, "height": 740})
    tab.open(place)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_large_gallery_scrolls_without_long_tasks_and_keeps_few_elements(
    browser: Any, tmp_path: Path, photos: Path
) -> None:
    with stand_in(tmp_path / "db") as faces:
        faces.index(photos)
        add_many(faces, 100_000)
        with live(faces) as (address, _):
            tab = Tab(browser, address)
            page = tab.open("#/photos")
            page.get_by_text("100,000 photos").wait_for()
            page.locator(".sheet a").first.wait_for()
            spent, most, longest = work_of(tab.context, page), 0, 0.0
            for _ in range(40):
                before = spent()
                page.mouse.wheel(0, 1_500)
                page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
                longest = max(longest, spent() - before)
                most = max(most, page.locator(".sheet li").count())
            page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
            page.locator(".sheet a").first.wait_for()
            assert most < 200
            assert longest < 0.1, f"scrolling once kept the page's thread busy for {longest:.3f} s"
            tab.context.close()


def work_of(context: Any, page: Any) -> Callable[[], float]:
    """Seconds that the page's thread has worked, not waited for a processor: a busy machine takes no part in it."""
    told = context.new_cdp_session(page)
    told.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        found = {one["name"]: one["value"] for one in told.send("Performance.getMetrics")["metrics"]}
        return float(found["TaskDuration"])

    return spent


def add_many(faces: FaceSearch, count: int) -> None:
    """So many photos: rows alone matter to a grid."""
    from dataclasses import replace

    gallery = faces.gallery
    first = gallery.get([1])[0]
    have = len(gallery)
    some = gallery.descriptors([1]).repeat(10_000, axis=0)
    for start in range(have, count, 10_000):
        new = [
            replace(first, photo=replace(first.photo, path=f"many/{n}.png"))
            for n in range(start, min(start + 10_000, count))
        ]
        gallery.add(new, some[: len(new)])


def test_the_page_is_light() -> None:
    assert sum(len(content) for content, _, _ in page_files().values()) < 150_000


def test_the_lamps_stand_where_the_renderer_had_them() -> None:
    text = (PAGE / "lights.js").read_text(encoding="utf-8")
    pairs = [
        (int(a), int(e)) for a, e in re.findall(r"\[(-?\d+), (-?\d+)\]", text.split("LAMPS = [")[1].split("];")[0])
    ]
    assert pairs == [(flash.azimuth, flash.elevation) for light in ILLUMINATIONS[1:] for flash in light.flashes]


def test_no_text_of_a_stranger_becomes_markup(browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "<img src=x onerror=alert(1)>"
    folder.mkdir(parents=True)
    Image.fromarray(blob_face(1, 0, 0)).save(folder / "<b>.png")
    with stand_in(tmp_path / "db") as faces:
        faces.index(tmp_path / "photos")
        with live(faces) as (address, _):
            tab = Tab(browser, address)
            for place in ("#/photos", "#/find?of=1&open=1", "#/gallery"):
                page = tab.open(place)
                page.wait_for_load_state("networkidle")
                assert page.locator("main b, img[src='x']").count() == 0
            page = tab.open("#/photos?open=1")
            page.get_by_role("heading", name="<img src=x onerror=alert(1)>").wait_for()
            tab.context.close()
            assert tab.wrong == []
