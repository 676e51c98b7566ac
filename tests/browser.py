"""Pages in a headless Chromium: what a script finds in them, and what the console says."""

import html
import json
import re
import shutil
import subprocess

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MEASURE = """
<script>
addEventListener("load", () => {
  const root = document.documentElement, wide = innerWidth;
  const boxed = e => e.closest(".scroll, pre") !== null;
  const out = [...document.body.querySelectorAll("*")].filter(
    e => !boxed(e) && e.getBoundingClientRect().right > wide + 0.5);
  const images = [...document.images];
  const ink = getComputedStyle(document.body);
  parent.postMessage(JSON.stringify({
    wide: wide, scroll: root.scrollWidth, out: out.map(e => e.tagName + "." + e.className).slice(0, 5),
    images: images.length, broken: images.filter(i => !i.complete || !i.naturalWidth).length,
    narrow: images.filter(i => i.getBoundingClientRect().width < 200).length,
    noalt: images.filter(i => !i.alt).length,
    scripts: document.scripts.length - 1,
    foreign: document.querySelectorAll("link, object, embed, iframe, [onclick], [onerror]").length,
    loaded: performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:")),
    ids: [...document.querySelectorAll("[id]")].map(e => e.id),
    links: [...document.querySelectorAll("a")].map(e => e.getAttribute("href")),
    headings: [...document.querySelectorAll("h1, h2, h3")].map(e => [e.tagName, e.textContent]),
    tables: [...document.querySelectorAll("table")].length,
    math: [...document.querySelectorAll("math")].map(e => e.textContent),
    mathsize: [...document.querySelectorAll("math")].map(e => e.getBoundingClientRect().height),
    color: ink.color, background: ink.backgroundColor,
    text: document.querySelector("main").textContent
  }), "*");
});
</script>"""
FRAMES = """<!DOCTYPE html><meta charset="utf-8">
<meta name="color-scheme" content="light dark"><body><pre id="found"></pre>
<script>
const found = {{}};
addEventListener("message", event => {{
  const name = [...document.querySelectorAll("iframe")].find(f => f.contentWindow === event.source).id;
  found[name] = JSON.parse(event.data);
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>{frames}</body>"""


def chromium():
    """The browser's path; the test is skipped where there is none."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    pytest.skip("needs Chromium or Chrome on the path")


def look_at(pages, folder, widths=(400, 1200), dark=False):
    """Measurements of pages at widths, and what the console said.

    Parameters
    ----------
    pages : dict
        Name → HTML. Each is put in a frame of each width, with a script that measures; a window itself
        can't be narrower than 500 pixels.
    folder : Path
        Where the copies go.

    Returns
    -------
    dict
        (name, width) → measurements.
    list of str
        Lines of the console.
    """
    frames = ""
    for name, page in pages.items():
        assert page.count("</body>") == 1
        measured = html.escape(page.replace("</body>", f"{MEASURE}</body>"))
        for width in widths:
            style = f"width:{width}px;height:900px;border:0;color-scheme:light dark"
            frames += f'<iframe id="{name} {width}" style="{style}" srcdoc="{measured}"></iframe>\n'
    path = folder / "frames.html"
    path.write_text(FRAMES.format(frames=frames), encoding="utf-8")
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += ["--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}", "--no-first-run"]
    command += ["--blink-settings=preferredColorScheme=0"] if dark else []
    command += ["--virtual-time-budget=20000", "--dump-dom", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    found = re.search(r'<pre id="found">(.*?)</pre>', shown.stdout, flags=re.S)
    assert found, shown.stderr[-2000:]
    measured = json.loads(html.unescape(found.group(1)))
    assert len(measured) == len(pages) * len(widths)
    by_frame = {(key.rsplit(" ", 1)[0], int(key.rsplit(" ", 1)[1])): value for key, value in measured.items()}
    return by_frame, [line for line in shown.stderr.split("\n") if "CONSOLE" in line]
