"""The review: what an action does, and that nothing is lost."""

import threading
import time

import numpy as np
import pytest
import yaml

from affinitynet.data.corrections import Correction, Corrections
from affinitynet.errors import InputError
from affinitynet.files import read_label_image, save_mask
from affinitynet.tools.review.actions import Brush, painted, read_action
from affinitynet.tools.review.order import most_to_teach
from affinitynet.tools.review.session import ConflictError, Listed, UnknownImageError
from affinitynet.tools.review.steps import Step, load_steps
from tests.support.review import NAME, click, labels, opened


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

    def test_painting_a_class_tags_the_image_with_it(self, session):
        tags = session.state(NAME)["tags"]
        absent, other = [name for name in session.classes if name not in tags][:2]
        brush = {"kind": "brush", "class": absent, "points": [[20, 20]], "radius": 4}
        assert set(session.act(NAME, 0, brush)["tags"]) == {*tags, absent}
        state = session.act(NAME, 1, {"kind": "tags", "tags": [*tags, absent, other]})
        assert labels(state)[20, 20] == session.classes.index(absent) + 1
        state = session.act(NAME, 2, {"kind": "brush", "class": None, "points": [[20, 20]], "radius": 4})
        assert set(state["tags"]) == {*tags, absent, other}

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
        assert (corrections.mask(NAME, session.classes) == labels(session.state(NAME))).all()
        assert session.act(NAME, 2, {"kind": "reject"})["verdict"] == "rejected"
        assert corrections.mask(NAME, session.classes) is None
        state = session.act(NAME, 3, {"kind": "reset"})
        assert (labels(state) == before).all()
        assert state["verdict"] is None
        assert corrections.mask(NAME, session.classes) is None

    @pytest.mark.parametrize("taken_back", ["undo", "reset"])
    def test_after_all_was_taken_back_the_mask_of_a_new_run_is_shown(self, session, work, taken_back):
        before = labels(session.state(NAME)).copy()
        file = work / "masks" / f"{NAME}.png"
        session.act(NAME, 0, {"kind": "brush", "class": session.classes[0], "points": [[9, 9]], "radius": 4})
        painted_over = read_label_image(file).copy()
        painted_over[5:9, 5:9] = 1
        save_mask(file, painted_over)  # a run learns from the correction, whose mask is then the run's
        assert (labels(session.act(NAME, 1, {"kind": taken_back})) == before).all()
        assert (labels(opened(work).state(NAME)) == before).all()
        another = np.full_like(painted_over, 2)
        save_mask(file, another)  # another run, without it
        again = opened(work)
        state = again.state(NAME)
        assert (labels(state) == 2).all()
        assert not state["undo"]
        state = again.act(NAME, 2, {"kind": "accept"})
        assert (np.asarray(Corrections(work / "corrections").mask(NAME, session.classes)) == 2).all()
        assert labels(again.act(NAME, state["version"], {"kind": "undo"})).max() == 2

    def test_clicks_stay_in_their_place_where_the_image_is_labelled_at_another_size(self, session, work):
        state = session.state(NAME)
        place = 2 * state["width"] // 3, state["height"] // 3
        absent = next(name for name in session.classes if name not in state["tags"])
        session.act(NAME, 0, click(*place, absent))
        session.act(NAME, 1, {"kind": "brush", "class": absent, "points": [[place[0], 5]], "radius": 2})
        config = work / "config.yaml"
        settings = yaml.safe_load(config.read_text()) | {"longest_side": state["width"] // 2}
        config.write_text(yaml.safe_dump(settings))
        again = opened(work)
        half = again.state(NAME)
        assert half["width"] == state["width"] // 2
        after = labels(again.act(NAME, 2, click(3, half["height"] - 3, None)))
        assert after[place[1] // 2, place[0] // 2] == session.classes.index(absent) + 1

    def test_of_images_that_were_only_passed_the_networks_see_nothing(self, session, monkeypatch):
        seen, follow = [], session._follow

        def noted(record, numbers):
            seen.append(record.name)
            return follow(record, numbers)

        monkeypatch.setattr(session, "_follow", noted)
        names = [image.name for image in session.images()][:4]
        with session._acting:
            threads = [threading.Thread(target=session.prepare, args=[name]) for name in names]
            for thread in threads:
                thread.start()
                time.sleep(0.05)
        for thread in threads:
            thread.join()
        assert seen == names[-1:]

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
            with pytest.raises(UnknownImageError):
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


def test_a_correction_of_another_tool_is_reviewed_and_not_lost(work):
    corrections, session = Corrections(work / "corrections"), opened(work)
    mask = np.zeros_like(read_label_image(work / "masks" / f"{NAME}.png"))
    mask[4:20, 4:20] = 2
    tags = session.classes[:2]
    corrections.save(NAME, Correction("corrected", tags, classes=session.classes), mask)
    session = opened(work)
    state = session.state(NAME)
    assert (state["verdict"], tuple(state["tags"])) == ("corrected", tags)
    state = session.act(NAME, 0, {"kind": "brush", "class": None, "points": [[5, 5]], "radius": 1})
    state = session.act(NAME, state["version"], {"kind": "accept"})
    assert corrections.load(NAME).tags == tags
    for step in ({"kind": "undo"}, {"kind": "undo"}):
        state = session.act(NAME, state["version"], step)
    assert (state["verdict"], tuple(state["tags"])) == ("corrected", tags)
    assert np.array_equal(np.asarray(corrections.mask(NAME, session.classes)), mask)
    state = session.act(NAME, state["version"], {"kind": "brush", "class": None, "points": [[9, 9]], "radius": 2})
    state = session.act(NAME, state["version"], {"kind": "reset"})
    assert (corrections.load(NAME).verdict, corrections.load(NAME).tags) == ("corrected", tags)
    assert np.array_equal(np.asarray(corrections.mask(NAME, session.classes)), mask)


def test_steps_survive_a_class_that_is_added(tmp_path):
    corrections, before = Corrections(tmp_path), np.zeros((8, 9), np.uint8)
    steps = load_steps(corrections, "a", ("dog",), ("cat", "dog"))
    steps.add(Step({"kind": "brush"}, ("dog",), "corrected"), np.full((8, 9), 2, np.uint8), before)
    steps = load_steps(corrections, "a", ("dog",), ("bird", "cat", "dog"))
    assert np.array_equal(np.asarray(steps.mask()), np.full((8, 9), 3))
    steps = steps.add(Step({"kind": "brush"}, ("bird",), "corrected"), np.full((8, 9), 1, np.uint8), np.full((8, 9), 3))
    assert np.array_equal(np.asarray(load_steps(corrections, "a", (), ("bird", "cat", "dog")).mask()), np.ones((8, 9)))
    assert np.array_equal(np.asarray(steps.undo().mask()), np.full((8, 9), 3))
    assert corrections.load("a").classes == ("cat", "dog", "bird")
