"""The review: what an action does, that nothing is lost, that nobody else gets in, and a real browser."""

import base64
import http.client
import json
import subprocess
import sys
import threading
import zlib
from typing import Any

import numpy as np
import pytest

from affinitynet.cli import main
from affinitynet.data.corrections import Corrections
from affinitynet.errors import InputError
from affinitynet.files import read_label_image
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.tools.finished import open_finished
from affinitynet.tools.review.actions import Brush, painted, read_action
from affinitynet.tools.review.order import most_to_teach
from affinitynet.tools.review.server import ReviewServer
from affinitynet.tools.review.session import ConflictError, Listed, ReviewSession
from tests.support.worlds import copied

NAME = "val_000"


@pytest.fixture
def work(finished, tmp_path):
    return copied(finished, tmp_path / "work")


def opened(work) -> ReviewSession:
    return ReviewSession(open_finished(work), MaskPredictor.from_work(work))


@pytest.fixture
def session(work):
    return opened(work)


def labels(state) -> Any:
    found = zlib.decompress(base64.b64decode(state["mask"]))
    return np.frombuffer(found, np.uint8).reshape(state["height"], state["width"])


def click(x, y, name):
    return {"kind": "click", "class": name, "points": [[x, y]]}


class TestActions:
    def test_a_click_changes_the_mask_and_the_tags(self, session):
        before = session.state(NAME)
        absent = next(name for name in session.classes if name not in before["tags"])
        after = session.act(NAME, 0, click(9, 7, absent))
        assert labels(after)[7, 9] == session.classes.index(absent) + 1
        assert absent in after["tags"]
        assert after["verdict"] == "corrected"
        assert after["version"] == 1
        background = session.act(NAME, 1, click(9, 7, None))
        assert labels(background)[7, 9] == 0

    def test_undo_and_redo_without_limit_and_what_was_undone_is_forgotten_by_the_next_action(self, session):
        masks = [labels(session.state(NAME))]
        for number in range(5):
            brush = {
                "kind": "brush",
                "class": session.classes[number % 2],
                "points": [[20 + 9 * number, 30]],
                "radius": 4,
            }
            masks.append(labels(session.act(NAME, number, brush)))
        version = 5
        for expected in reversed(masks[:-1]):
            state = session.act(NAME, version, {"kind": "undo"})
            assert (labels(state) == expected).all()
            version += 1
        assert not state["undo"]
        assert state["verdict"] is None
        for expected in masks[1:4]:
            state = session.act(NAME, version, {"kind": "redo"})
            assert (labels(state) == expected).all()
            version += 1
        state = session.act(NAME, version, {"kind": "brush", "class": None, "points": [[5, 5]], "radius": 1})
        assert not state["redo"]
        assert session.act(NAME, version + 1, {"kind": "redo"})["version"] == version + 1

    def test_a_click_leaves_what_was_painted(self, session):
        state = session.state(NAME)
        label = next(n for n, name in enumerate(session.classes) if name not in state["tags"])
        row = {"kind": "brush", "class": session.classes[label], "points": [[2, 2], [40, 2]], "radius": 1}
        painted_over = labels(session.act(NAME, 0, row))
        after = labels(session.act(NAME, 1, click(20, 20, None)))
        assert (painted_over[2, 2:40] == label + 1).all()
        assert (after[2, 2:40] == label + 1).mean() > 0.9

    def test_tags_that_go_take_their_pixels_with_them(self, session):
        tagged = session.state(NAME)["tags"]
        session.act(NAME, 0, click(9, 7, tagged[0]))
        state = session.act(NAME, 1, {"kind": "tags", "tags": []})
        assert state["tags"] == []
        assert (labels(state) == 0).all()
        state = session.act(NAME, 2, click(30, 20, None))  # after clicks of a class that is no longer there
        assert (labels(state) == 0).all()
        session.act(NAME, 3, {"kind": "undo"})
        state = session.act(NAME, 4, {"kind": "undo"})
        assert state["tags"] == tagged

    def test_accept_reject_and_start_over(self, session, work):
        before = labels(session.state(NAME))
        session.act(NAME, 0, {"kind": "brush", "class": session.classes[0], "points": [[3, 3], [40, 20]], "radius": 3})
        assert session.act(NAME, 1, {"kind": "accept"})["verdict"] == "accepted"
        corrections = Corrections(work / "corrections")
        assert (corrections.mask(NAME) == labels(session.state(NAME))).all()
        assert session.act(NAME, 2, {"kind": "reject"})["verdict"] == "rejected"
        assert corrections.mask(NAME) is None
        state = session.act(NAME, 3, {"kind": "reset"})
        assert (labels(state) == before).all()
        assert state["verdict"] is None
        assert corrections.mask(NAME) is None

    def test_what_was_done_survives_a_kill(self, session, work):
        session.act(NAME, 0, click(9, 7, session.classes[0]))
        state = session.act(NAME, 1, click(50, 40, None))
        again = opened(work)
        assert again.state(NAME) == state
        assert (labels(again.act(NAME, 2, {"kind": "undo"})) == labels(session.state(NAME))).all()

    def test_a_class_that_is_gone_is_a_line(self, session, work):
        session.act(NAME, 0, click(9, 7, session.classes[0]))
        file = work / "corrections" / f"{NAME}.json"
        file.write_text(file.read_text().replace(f'"{session.classes[0]}"', '"zebra"'))
        with pytest.raises(InputError, match="'zebra' is not a class any more"):
            session.state(NAME)

    def test_two_tabs_do_not_lose_each_others_work(self, session):
        session.act(NAME, 0, click(9, 7, session.classes[0]))
        with pytest.raises(ConflictError):
            session.act(NAME, 0, click(30, 7, session.classes[1]))
        assert session.state(NAME)["version"] == 1

    def test_the_work_folder_itself_stays_as_it_is(self, session, work):
        before = read_label_image(work / "masks" / f"{NAME}.png").copy()
        session.act(NAME, 0, click(9, 7, session.classes[0]))
        assert np.array_equal(read_label_image(work / "masks" / f"{NAME}.png"), before)


@pytest.mark.parametrize(
    "action",
    [
        {},
        {"kind": "delete"},
        click(10_000, 3, None),
        click(3, -1, None),
        click(1.5, 3, None),
        click(3, 3, "zebra"),
        click(3, 3, ["circle"]),
        {"kind": "click", "class": None, "points": []},
        {"kind": "click", "class": None, "points": [[1, 2]] * 5001},
        {"kind": "click", "class": None, "points": "1,2"},
        {"kind": "click", "class": None, "points": [[True, 2]]},
        {"kind": "brush", "class": None, "points": [[1, 2]], "radius": 10**9},
        {"kind": "brush", "class": None, "points": [[1, 2]]},
        {"kind": "tags", "tags": ["zebra"]},
        {"kind": "tags", "tags": "circle"},
        {"kind": "tags", "tags": [["circle"]]},
    ],
)
def test_other_actions_are_refused(session, work, action):
    with pytest.raises(InputError):
        session.act(NAME, 0, action)
    assert not (work / "corrections").exists()


def test_names_lead_nowhere_else(session):
    for name in ("../config", "/etc/passwd", "", "val_000/../val_001"):
        for ask in (session.picture, session.state, session.prepare):
            with pytest.raises(KeyError):
                ask(name)


def test_the_brush_paints_what_it_covers():
    mask = painted(np.zeros((20, 30), np.uint8), Brush(1, ((5, 10), (20, 10)), 2))
    assert (mask[8:13, 5:21] == 2).all()
    assert mask[:7].max() == mask[14:].max() == 0
    assert read_action({"kind": "brush", "class": "a", "points": [[1, 2]], "radius": 0}, ["a"], (9, 9)).brush


def test_doubtful_and_disputed_images_come_first_and_every_class_soon():
    images = [Listed(f"x{n}", "all", ("x",), n / 10, n / 10, None) for n in range(9)]
    images += [Listed("y", "all", ("y", "x"), 0.0, 0.0, None), Listed("none", "all", (), 0.9, 0.9, None)]
    names = [image.name for image in most_to_teach(images)]
    assert names[:3] == ["y", "x8", "x7"]
    assert names[-1] == "none"  # without a tag there is nothing to be wrong
    assert most_to_teach([]) == []


class Visitor:
    """Asks the server as a browser would, or as one should not."""

    def __init__(self, server: ReviewServer) -> None:
        self.server = server

    def __call__(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=30)
        own = {"X-Token": self.server.token, "Content-Type": "application/json"}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in (own | given).items() if value is not None}
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, content, sent)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


@pytest.fixture
def visit(session):
    with ReviewServer(session) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Visitor(server)
        server.shutdown()
        thread.join()


class TestServer:
    def test_it_serves_the_page_pictures_and_actions(self, visit):
        status, page, headers = visit("GET", f"/?token={visit.server.token}", X_Token=None)
        assert status == 200
        assert b"review of masks" in page
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        status, found, _ = visit("GET", "/api/images")
        assert {image["name"] for image in json.loads(found)} >= {NAME}
        assert visit("GET", f"/api/picture?name={NAME}")[1][:2] == b"\xff\xd8"
        status, found, _ = visit("POST", "/api/act", {"name": NAME, "version": 0, "action": click(9, 7, None)})
        assert status == 200
        assert json.loads(found)["version"] == 1
        status, found, _ = visit("POST", "/api/act", {"name": NAME, "version": 0, "action": click(9, 7, None)})
        assert status == 409

    @pytest.mark.parametrize(
        "headers",
        [
            {"X_Token": None},
            {"X_Token": "guessed"},
            {"X_Token": "\xe9"},
            {"Host": "evil.example"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
        ],
    )
    def test_others_are_refused(self, visit, work, headers):
        body = {"name": NAME, "version": 0, "action": click(9, 7, None)}
        assert visit("GET", "/api/images", **headers)[0] == 403
        assert visit("POST", "/api/act", body, **headers)[0] == 403
        if "X_Token" in headers:
            assert visit("GET", "/", X_Token=None)[0] == 403
        assert not (work / "corrections").exists()

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"{", 400),
            (b"[" * 100_000, 400),
            (b"[]", 400),
            (b'{"name": 3, "version": 0, "action": {}}', 400),
            (b'{"name": "val_000", "version": true, "action": {}}', 400),
            (b'{"name": "val_000", "version": 0, "action": []}', 400),
            (b'{"name": "../x", "version": 0, "action": {"kind": "accept"}}', 404),
            (b"x" * (2**20 + 1), 413),
        ],
    )
    def test_bad_bodies_are_a_line(self, visit, body, status):
        found, content, _ = visit("POST", "/api/act", body)
        assert found == status
        assert json.loads(content)["error"]

    @pytest.mark.parametrize("length", ["", "-1", "\xb2", "9" * 12, "9" * 5000])
    def test_lengths_that_cannot_be_are_a_line(self, visit, length):
        found, content, _ = visit("POST", "/api/act", b"", Content_Length=length)
        assert found == 413
        assert json.loads(content)["error"]

    def test_other_addresses_are_not_found(self, visit):
        assert visit("GET", "/etc/passwd")[0] == 404
        assert visit("POST", "/api/other", {"name": NAME, "version": 0, "action": {}})[0] == 404
        assert visit("GET", "/api/state?name=..%2F..%2Fconfig")[0] == 404

    def test_only_this_machine_is_listened_to(self, visit):
        assert visit.server.server_address[0] == "127.0.0.1"
        with pytest.raises(InputError, match="cannot be used"):
            ReviewServer(visit.server.session, visit.server.server_port)

    @pytest.mark.parametrize(
        ("error", "said"), [(BrokenPipeError, False), (ConnectionResetError, False), (KeyError, True)]
    )
    def test_a_browser_that_goes_away_leaves_no_traceback(self, visit, capsys, error, said):
        try:
            raise error
        except error:
            visit.server.handle_error(None, ("127.0.0.1", 1))
        assert ("Traceback" in capsys.readouterr().err) == said


def test_refusals(tmp_path, capsys):
    assert main(["review", "--work", str(tmp_path / "none")]) == 2
    assert "no finished masks" in capsys.readouterr().err


def test_the_command_says_where_and_ends_by_ctrl_c(work):
    command = [sys.executable, "-m", "affinitynet", "review", "--work", str(work), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stderr is not None
        line = next(line for line in started.stderr if "http://127.0.0.1" in line)
        started.send_signal(2)
        assert started.wait(60) == 0
        assert started.stdout is not None
        assert "0 images reviewed" in started.stdout.read()
    assert "token=" in line


@pytest.fixture
def tab(visit, browser):
    page = browser.new_page()
    page.complaints = []
    page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(visit.server.address)
    page.locator(".row[aria-selected=true]").wait_for()
    page.locator("#labels button").first.wait_for()
    return page


def at_version(tab, number: int) -> None:
    tab.locator(f"body[data-version='{number}']").wait_for()


def left(tab, name: str) -> None:
    """Wait until another image is shown."""
    tab.locator(f"body:not([data-name='{name}'])").wait_for()


def test_a_browser_lists_clicks_strokes_undoes_and_accepts(tab, visit):
    name = tab.locator("#name").inner_text()
    box = tab.locator("#canvas").bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.locator("#said", has_text="saved").wait_for()
    assert visit.server.session.state(name)["version"] == 1
    assert tab.locator("#verdict").inner_text() == "corrected"
    tab.keyboard.press("0")
    tab.mouse.move(box["x"] + box["width"] / 2 - 40, box["y"] + box["height"] / 2)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2, steps=5)
    tab.mouse.up()
    at_version(tab, 2)
    tab.keyboard.press("z")
    at_version(tab, 3)
    tab.locator("#redo").click()
    at_version(tab, 4)
    tab.keyboard.press("a")
    left(tab, name)
    assert visit.server.session.state(name)["verdict"] == "accepted"
    tab.select_option("#show", "accepted")
    assert tab.locator(".row span:first-child").all_text_contents() == [name]
    assert tab.complaints == []


def test_the_keyboard_alone_is_enough(tab, visit):
    first = tab.locator("#name").inner_text()
    tab.keyboard.press("n")
    left(tab, first)
    second = tab.locator("#name").inner_text()
    tab.locator("#stage").focus()
    tab.keyboard.press("1")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Shift+ArrowDown")
    tab.keyboard.press("Enter")
    at_version(tab, 1)
    state = visit.server.session.state(second)
    assert labels(state)[state["height"] // 2 + 1, state["width"] // 2 + 10] == 1
    tab.keyboard.press("t")
    tab.locator("#tag-boxes input").first.wait_for()
    while tab.locator("#tag-boxes input:checked").count():
        tab.locator("#tag-boxes input:checked").first.press("Space")
    tab.locator("#tags-ok").press("Enter")
    at_version(tab, 2)
    assert visit.server.session.state(second)["tags"] == []
    tab.keyboard.press("b")
    assert tab.locator("#brush").get_attribute("aria-checked") == "true"
    tab.keyboard.press("x")
    left(tab, second)
    assert visit.server.session.state(second)["verdict"] == "rejected"
    assert tab.complaints == []


def test_a_second_tab_sees_what_the_first_one_did(tab, visit):
    name = tab.locator("#name").inner_text()
    visit.server.session.act(name, 0, {"kind": "accept"})
    tab.keyboard.press("z")
    tab.locator("#said", has_text="changed in another tab").wait_for()
    at_version(tab, 1)
    assert tab.locator("#verdict").inner_text() == "accepted"


def test_a_server_that_is_gone_is_said_and_nothing_is_pretended(tab, visit):
    visit.server.shutdown()
    visit.server.socket.close()
    tab.keyboard.press("a")
    tab.locator("#said", has_text="start it again").wait_for()
    assert tab.locator("#verdict").inner_text() == ""
