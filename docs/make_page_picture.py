"""Write docs/page.png, what the page shows of the sample: `python docs/make_page_picture.py`, compared by a test.

It is the page itself in Debian's chromium, over a few people of the sample gallery. Nobody in it is real.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from PIL import Image

from facesearch.server.app import make_app
from facesearch.server.service import service_of
from facesearch.server.settings import Settings
from facesearch.server.start import Server, address_at, bind
from retrieval.face_search import FaceSearch
from retrieval.models import SAMPLE_DB

TARGET = Path(__file__).with_name("page.png")
PEOPLE = ("0104", "0107", "0113", "0127", "0134", "0137")
ASKED = "0107/0107_-15_06.png"
WIDTH, HEIGHT = 1180, 700
_COLOURS = 128
_ALL_THERE = (
    "[...document.images].every((one) => !one.src || one.loading === 'lazy' || (one.complete && one.naturalWidth > 0))"
)
_PATIENCE = 240_000  # milliseconds: the machine may be busy


def page_picture() -> bytes:
    """The content of docs/page.png."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in PEOPLE:
            shutil.copytree(SAMPLE_DB / "gallery" / name, place / "people" / name)
        with FaceSearch(place / "db", SAMPLE_DB / "models", identity="own") as faces:
            faces.index(place / "people")
            asked = faces.gallery.ids_of([ASKED])[ASKED]
            with listening(faces) as address:
                shown = asyncio.run(screenshot(f"{address}#/find?of={asked}&pose=30"))
    content = io.BytesIO()
    Image.open(io.BytesIO(shown)).convert("RGB").quantize(_COLOURS).save(content, "PNG", optimize=True)
    return content.getvalue()


@contextmanager
def listening(faces: FaceSearch) -> Iterator[str]:
    """The address of a server over these."""
    settings, started = Settings(port=0), Event()
    with bind(settings.host, settings.port) as bound:
        server = Server(make_app(service_of(faces, settings)), settings, started.set)
        thread = Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            assert started.wait(60)
            yield address_at(bound, settings)
        finally:
            server.should_exit = True
            thread.join()


async def screenshot(address: str) -> bytes:
    """PNG of what a browser shows there, when everything is."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.set_default_timeout(_PATIENCE)
        await page.goto(address)
        await page.locator(".grid li").first.wait_for()
        await page.locator(".stop img").nth(6).wait_for()
        while not await page.evaluate(_ALL_THERE):
            await asyncio.sleep(0.1)
        await page.wait_for_load_state("networkidle")
        shown = await page.screenshot()
        await browser.close()
    return bytes(shown)


if __name__ == "__main__":
    TARGET.write_bytes(page_picture())
    print(f"{TARGET} has {TARGET.stat().st_size:,} bytes")
