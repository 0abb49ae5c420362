"""The review's server: what it answers, that nobody else gets in, and its page in a real browser."""

import errno
import http.client
import json
import subprocess
import sys
import threading
from unittest.mock import Mock

import pytest

from affinitynet.cli import main
from affinitynet.errors import InputError
from affinitynet.tools.review.server import ReviewServer
from tests.support.review import NAME, click, labels


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
    def test_a_name_that_is_no_text_is_found(self, visit, monkeypatch):
        asked = []

        def state(name):
            asked.append(name)
            return {}

        monkeypatch.setattr(visit.server.session, "state", state)
        for written in ("caf%5Cudce9", "%5C%22a%5C%5Cb", "a%20b"):
            assert visit("GET", f"/api/state?name={written}")[0] == 200
        assert asked == ["caf\udce9", '"a\\b', "a b"]

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

    def test_a_full_disk_is_a_line_and_the_same_action_succeeds_once_there_is_room(self, visit, capsys, monkeypatch):
        body = {"name": NAME, "version": 0, "action": {"kind": "accept"}}
        full = OSError(errno.ENOSPC, "No space left on device", "corrections/0000.png")
        with monkeypatch.context() as patch:
            patch.setattr("affinitynet.tools.review.steps.save_mask", Mock(side_effect=full))
            status, content, _ = visit("POST", "/api/act", body)
        assert status == 500
        said = json.loads(content)["error"]
        assert said.startswith("corrections/0000.png: No space left on device; make sure")
        assert capsys.readouterr().err == ""
        assert visit("POST", "/api/act", body)[0] == 200

    def test_a_mistake_of_ours_is_not_taken_for_an_unknown_image(self, visit, capsys, monkeypatch):
        monkeypatch.setattr(visit.server.session, "_shown", Mock(side_effect=KeyError("version")))
        with pytest.raises(http.client.RemoteDisconnected):
            visit("GET", f"/api/state?name={NAME}")
        assert "KeyError: 'version'" in capsys.readouterr().err

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


def held_back(tab, path):
    """Let requests for a path wait until the function that is returned is called."""
    waiting, held = [], True

    def wait(route):
        waiting.append(route)
        if not held:
            route.continue_()

    def go_on():
        nonlocal held
        held = False
        for route in waiting:
            route.continue_()

    tab.route(path, wait)
    return go_on


def test_nothing_is_done_to_an_image_that_is_not_shown_yet(tab, visit):
    first = tab.locator("#name").inner_text()
    go_on = held_back(tab, "**/api/state*")
    tab.keyboard.press("n")
    tab.locator(f"#name:not(:text-is('{first}'))").wait_for()
    second = tab.locator("#name").inner_text()
    tab.keyboard.press("x")
    tab.locator("#canvas").click()
    go_on()
    tab.locator(f"body[data-name='{second}']").wait_for()
    assert [visit.server.session.state(name)["version"] for name in (first, second)] == [0, 0]
    tab.keyboard.press("x")
    left(tab, second)
    assert visit.server.session.state(second)["verdict"] == "rejected"
    assert tab.complaints == []


def test_what_was_asked_for_is_done_also_if_another_image_is_opened_meanwhile(tab, visit):
    first = tab.locator("#name").inner_text()
    go_on = held_back(tab, "**/api/act")
    box = tab.locator("#canvas").bounding_box()
    for part in (0.3, 0.6):
        tab.mouse.click(box["x"] + box["width"] * part, box["y"] + box["height"] / 2)
    tab.keyboard.press("n")
    go_on()
    left(tab, first)
    assert visit.server.session.state(first)["version"] == 2
    tab.select_option("#show", "corrected")
    assert tab.locator(".row span:first-child").all_text_contents() == [first]


def test_a_verdict_that_was_not_saved_is_said_and_the_image_stays(tab, visit):
    name = tab.locator("#name").inner_text()
    box = tab.locator("#canvas").bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    at_version(tab, 1)
    visit.server.session.act(name, 1, {"kind": "undo"})
    visit.server.session.act(name, 2, {"kind": "redo"})
    tab.keyboard.press("x")
    tab.locator("#said", has_text="changed in another tab").wait_for()
    assert tab.locator("#name").inner_text() == name
    tab.keyboard.press("x")
    left(tab, name)
    assert visit.server.session.state(name)["verdict"] == "rejected"


def test_a_server_that_is_gone_is_said_and_nothing_is_pretended(tab, visit):
    visit.server.shutdown()
    visit.server.socket.close()
    tab.keyboard.press("a")
    tab.locator("#said", has_text="start it again").wait_for()
    assert tab.locator("#verdict").inner_text() == ""
