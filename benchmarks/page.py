"""What the page weighs, when it is first seen, and what scrolling through 100,000 photos costs, in Debian's chromium.

    python benchmarks/page.py --loads 20

Every load is one of a browser that has nothing kept. Server and browser run on the same processors.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from facesearch.server.pages import page_files
from tests.served import live, stand_in, write_faces
from tests.test_server_page import add_many, work_of

_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_LONG = """window.longest = 0; new PerformanceObserver((list) => {
    for (const one of list.getEntries()) window.longest = Math.max(window.longest, one.duration);
}).observe({ type: "longtask" })"""
_DRAWN = "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", type=int, default=20)
    parser.add_argument("--photos", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, stand_in(Path(folder) / "db") as faces, sync_playwright() as started:
        faces.index(write_faces(Path(folder) / "photos", 30))
        add_many(faces, given.photos)
        with live(faces) as (address, _):
            path = shutil.which("chromium") or shutil.which("chromium-browser")
            browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
            figures = {**weight(), **painted(browser, address, given.loads), **scrolled(browser, address)}
            browser.close()
    print(json.dumps(figures, indent=2))


def weight() -> dict[str, int]:
    contents = [content for content, _, _ in page_files().values()]
    return {"bytes": sum(map(len, contents)), "bytes if compressed": sum(len(gzip.compress(one)) for one in contents)}


def painted(browser: Any, address: str, loads: int) -> dict[str, float]:
    took = []
    for _ in range(loads):
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        page.locator("h1").first.wait_for()
        while (paint := page.evaluate(_PAINT)) is None:
            page.wait_for_timeout(20)
        took.append(float(paint))
        context.close()
    quantiles = {"median": statistics.median(took), "worst": max(took)}
    return {f"first paint ms, {name}": round(value) for name, value in quantiles.items()}


def scrolled(browser: Any, address: str) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{address}#/photos")
    page.locator(".sheet a").first.wait_for()
    page.evaluate(_LONG)
    spent, most = work_of(context, page), 0.0
    for _ in range(80):
        before = spent()
        page.mouse.wheel(0, 1_500)
        page.evaluate(_DRAWN)
        most = max(most, spent() - before)
    page.wait_for_timeout(500)
    longest = page.evaluate("window.longest")
    context.close()
    return {"longest task ms": round(longest), "most work of a turn of the wheel, ms": round(1000 * most)}


if __name__ == "__main__":
    main()
