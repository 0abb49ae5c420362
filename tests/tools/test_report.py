"""The report: whole without a network, safe against odd names, and alive in a real browser."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from affinitynet.cli import main
from affinitynet.config.adaptation import Decision
from affinitynet.files import save_mask, write_text
from affinitynet.pipeline.run import run_pipeline
from affinitynet.tools.report.charts import loss_chart
from affinitynet.work.folder import WorkFolder
from affinitynet.work.learnt import ClassLearnt, Learnt, write_learnt
from tests.support.worlds import QUICK, copied, plain_folder

ODD = '</script><img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory) -> Path:
    work = copied(finished, tmp_path_factory.mktemp("report") / "work")
    assert main(["report", "--work", str(work), "--workers", "1"]) == 0
    return work / "report.html"


def cards(text: str) -> dict:
    (found,) = re.findall(r'<script type="application/json" id="cards">(.*?)</script>', text, re.S)
    return json.loads(found)


def test_it_holds_everything_itself(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "http" not in text.replace("http://www.w3.org", "")
    found = cards(text)
    assert len(found["images"]) == 6
    assert text.count('<script type="text/plain"') == 6
    assert all(0 <= card["iou"] <= 1 and 0 <= card["doubt"] <= 1 for card in found["images"])
    for word in ("random walk", "train-classifier", "config.yaml", "background", "polyline", "What was understood?"):
        assert word in text


def test_without_masks_it_sorts_by_doubt_and_odd_names_stay_text(tmp_path):
    data = plain_folder(tmp_path / "data", tags=f'file,tags\na.png,"{ODD.replace(chr(34), chr(34) * 2)}"\nb.png,\n')
    run_pipeline(data, tmp_path / "work", QUICK, workers=1)
    assert main(["report", "--work", str(tmp_path / "work"), "--workers", "1"]) == 0
    text = (tmp_path / "work" / "report.html").read_text(encoding="utf-8")
    assert "no ground-truth masks" in text
    assert "too few training images" in text
    assert "What was understood?" in text
    assert ODD not in text
    found = cards(text)
    assert ODD in [tag for card in found["images"] for tag in card["tags"]]
    assert all(card["iou"] is None for card in found["images"])


def test_it_says_what_was_decided_and_what_would_help(finished, tmp_path):
    work = WorkFolder(copied(finished, tmp_path / "work"))
    work.decide([Decision("masks.source", "crf", f"pieces of 9 pixels {ODD}", "train-classifier")])
    write_learnt(work.classifier_file, Learnt((ClassLearnt(ODD, 90, 10, precision=0.3, chance=0.2),), "local"))
    write_text(work.advice_file, f"tag more of it {ODD}\n")
    assert main(["report", "--work", str(work.root), "--workers", "1"]) == 0
    text = (work.root / "report.html").read_text(encoding="utf-8")
    assert ODD not in text
    for said in ("masks.source = crf: pieces of 9 pixels", "not learnt (average precision 0.30", "tag more of it"):
        assert said in text


def test_the_page_of_a_folder_of_an_earlier_version(finished, tmp_path):
    work = copied(finished, tmp_path / "work")
    (work / "collection.json").unlink()
    assert main(["report", "--work", str(work), "--workers", "1"]) == 0
    assert "What was understood?" not in (work / "report.html").read_text(encoding="utf-8")


def test_of_many_images_the_gallery_shows_a_part_and_says_which(tmp_path, capsys):
    data = plain_folder(tmp_path / "data", tags="file,tags\na.png,cat\nb.png,dog\nc.png,cat\nd.png,dog\n", count=4)
    save_mask(data / "masks" / "d.png", np.full((32, 40), 2, np.uint8))
    run_pipeline(data, tmp_path / "work", QUICK, workers=1)
    work = WorkFolder(tmp_path / "work")
    write_text(work.doubts_file, "image,doubt,disagreement\na,0.1,0\nb,0.9,0\nc,0.5,0\nd,0.0,0\n")
    work.doubts_refined_file.unlink(missing_ok=True)
    command = ["report", "--work", str(work.root), "--workers", "1"]
    page = work.root / "report.html"

    def shown():
        return [card["name"] for card in cards(page.read_text(encoding="utf-8"))["images"]]

    assert main(command) == 0
    assert shown() == ["a", "b", "c", "d"]
    assert "gallery shows" not in capsys.readouterr().err + page.read_text(encoding="utf-8")
    assert main([*command, "--most", "2"]) == 0
    assert shown() == ["b", "d"]  # the most doubtful, and the one with ground truth
    for text in (capsys.readouterr().err, page.read_text(encoding="utf-8")):
        assert "he gallery shows 2 of 4 images: those with ground truth first" in text
    assert "4 images, 2 classes" in page.read_text(encoding="utf-8")
    assert main([*command, "--most", "0"]) == 0
    assert shown() == []
    assert main([*command, "--most", "-1"]) == 2
    assert "--most -1" in capsys.readouterr().err


def test_a_loss_that_is_no_number_breaks_no_chart():
    assert loss_chart("x", []) == ""
    assert "nan" not in loss_chart("x", [1.0, float("nan"), 0.5])


def test_refusals(tmp_path, capsys):
    assert main(["report", "--work", str(tmp_path / "none")]) == 2
    assert "no finished masks" in capsys.readouterr().err


def test_a_browser_opens_sorts_filters_enlarges_and_steps(page, browser):
    tab = browser.new_page()
    complaints = []
    tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(page.as_uri())
    images = cards(page.read_text(encoding="utf-8"))["images"]

    def names():
        return tab.locator("#rows strong").all_text_contents()

    worst_first = [card["name"] for card in sorted(images, key=lambda card: (card["iou"], card["name"]))]
    assert names() == worst_first
    tab.locator("#rows").scroll_into_view_if_needed()
    shown = tab.locator("#rows li").first.locator("img")
    shown.first.wait_for()
    assert shown.count() >= 6
    assert shown.first.evaluate("image => image.decode().then(() => image.naturalWidth > 0)")
    tab.select_option("#sort", "name")
    assert names() == sorted(worst_first)
    tagged = next(card for card in images if card["tags"])
    tab.select_option("#class", tagged["tags"][0])
    wanted = sorted(card["name"] for card in images if tagged["tags"][0] in card["tags"])
    assert names() == wanted
    assert tab.locator("#count").inner_text() == f"{len(wanted)} of 6"
    tab.select_option("#class", "")
    tab.fill("#search", "VAL")
    assert names() == ["val_000", "val_001"]
    tab.locator("#rows button").first.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#large-name").inner_text() == "val_000"
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#large-name").inner_text() == "val_001"
    assert tab.locator("#stage img").count() == 2
    tab.keyboard.press("1")
    assert tab.locator("#stage img").count() == 1
    tab.keyboard.press("Escape")
    assert not tab.locator("#large").is_visible()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_can_read_it(page, browser, scheme):
    tab = browser.new_page(viewport={"width": 360, "height": 700}, color_scheme=scheme)
    tab.goto(page.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    ink, paper = (tab.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    bright = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (bright[0] > bright[1]) == (scheme == "dark")
