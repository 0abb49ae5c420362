"""A work folder on storage never says of a file that it was made under settings under which it was not."""

import json
import shutil

import fsspec
import pytest

from affinitynet.errors import InputError
from affinitynet.runtime.storage import Mirror
from affinitynet.work.storage import MIXED, StoredWork, TaskWork
from tests.support.interrupts import Kill, Lifetime

OUTPUTS = {"train-classifier": ("net",), "make-cams": ("cams",)}
NAMES = ("a", "b", "c")
OPERATIONS = ("put_file", "pipe_file", "rm_file")


@pytest.fixture
def storage():
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


class Machine:
    """One that works in the folder; what a stage makes says under which settings it was made."""

    def __init__(self, root):
        self.root = root
        self.work = StoredWork(Mirror("memory://bucket/work", root), OUTPUTS)
        self.work.pull()

    def records(self):
        file = self.root / "stages.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def make(self, fingerprint, names=NAMES, finish=True):
        """Forget what was made under other settings and make it anew, as a run does."""
        shutil.rmtree(self.root / "cams", ignore_errors=True)
        (self.root / "cams").mkdir(parents=True)
        self.go_on(fingerprint, names, finish)

    def go_on(self, fingerprint, names=NAMES, finish=True):
        for name in names:
            (self.root / "cams" / f"{name}.npz").write_text(fingerprint)
        self.record(fingerprint, finish)

    def record(self, fingerprint, finished):
        record = {"fingerprint": fingerprint, "finished": finished}
        (self.root / "stages.json").write_text(json.dumps({"make-cams": record}))

    def cams(self):
        return {path.stem: path.read_text() for path in (self.root / "cams").glob("*.npz")}

    def holds_together(self):
        """Whether every file was made under the settings that are recorded, and a finished stage has all of them."""
        record = self.records().get("make-cams")
        if record is None:
            return not self.cams()
        if record["fingerprint"] == MIXED:
            return not record["finished"]
        complete = set(self.cams()) == set(NAMES) or not record["finished"]
        return complete and set(self.cams().values()) <= {record["fingerprint"]}


@pytest.mark.parametrize("before", [[], [("old", True)], [("old", False)]])
@pytest.mark.parametrize("finish", [True, False])
def test_whenever_a_machine_dies_another_is_told_the_truth(storage, tmp_path, before, finish):
    operations, ended = 0, False
    while not ended:
        storage.store.clear()
        first = Machine(tmp_path / f"first {operations}")
        for fingerprint, finished in before:
            first.make(fingerprint, NAMES if finished else NAMES[:2], finished)
            first.work.push()
        first.make("new", NAMES if finish else NAMES[1:], finish)
        with pytest.MonkeyPatch.context() as patch:
            life = Lifetime(operations)
            for name in OPERATIONS:
                patch.setattr(storage, name, life.ending(getattr(storage, name)))
            try:
                first.work.push()
                ended = True
            except Kill:
                pass
        other = Machine(tmp_path / f"other {operations}")
        assert other.holds_together(), (operations, other.records(), other.cams())
        first = Machine(tmp_path / f"first {operations}")  # started again, it goes on
        assert first.holds_together(), (operations, first.records(), first.cams())
        if first.records().get("make-cams", {}).get("fingerprint") != "new":
            first.make("new")
        first.go_on("new")
        first.work.push()
        last = Machine(tmp_path / f"last {operations}")
        assert last.holds_together()
        assert last.records()["make-cams"] == {"fingerprint": "new", "finished": True}
        assert last.cams() == dict.fromkeys(NAMES, "new")
        operations += 1
    assert operations > 3


def test_what_another_machine_made_is_not_overwritten(storage, tmp_path):
    first, second = Machine(tmp_path / "first"), Machine(tmp_path / "second")
    first.make("one")
    first.work.push()
    second.make("two")
    with pytest.raises(InputError, match="somebody else has worked in it meanwhile"):
        second.work.push()
    assert Machine(tmp_path / "third").cams() == dict.fromkeys(NAMES, "one")


def test_a_copy_that_was_cleared_up_takes_nothing_from_the_storage(storage, tmp_path):
    first = Machine(tmp_path / "first")
    first.make("one")
    first.work.push()
    for lost in ("cams/a.npz", "stages.json"):
        (tmp_path / "first" / lost).unlink()
        first.work.push()
        first = Machine(tmp_path / "first")
        assert first.cams() == dict.fromkeys(NAMES, "one")
    shutil.rmtree(tmp_path / "first")
    again = Machine(tmp_path / "first")
    again.work.push()
    assert again.cams() == Machine(tmp_path / "other").cams() == dict.fromkeys(NAMES, "one")


def test_what_was_made_before_a_kill_is_kept_and_corrections_always_are(storage, tmp_path):
    first = Machine(tmp_path / "first")
    first.make("one")
    first.work.push()
    first.make("two", NAMES[:1], finish=False)  # and nothing of it was stored
    correction = tmp_path / "first" / "corrections" / "a.json"
    correction.parent.mkdir()
    correction.write_text("by hand")
    first = Machine(tmp_path / "first")
    assert first.cams() == {"a": "two"}
    other = Machine(tmp_path / "other")
    other.make("three")
    other.work.push()
    first = Machine(tmp_path / "first")
    assert first.cams() == dict.fromkeys(NAMES, "three")
    assert correction.read_text() == "by hand"


def test_rows_of_tasks_are_joined(storage, tmp_path):
    first = Machine(tmp_path / "first")
    first.make("one", finish=False)
    first.work.push()
    for task in ("1-of-2", "2-of-2"):
        root = tmp_path / task
        work = TaskWork(Mirror("memory://bucket/work", root), task)
        work.pull()
        (root / "doubts.csv").write_text(f"{task},0.5,\n")
        work.push()
    last = Machine(tmp_path / "last")
    assert sorted((last.root / "doubts.csv").read_text().splitlines()) == ["1-of-2,0.5,", "2-of-2,0.5,"]
    last.work.push()
    assert not [path for path in storage.find("/bucket/work") if "tasks" in path]


def task_of(root, names=()):
    work = TaskWork(Mirror("memory://bucket/work", root), "1-of-2")
    work.pull()
    work.pull_images(names)
    return work


def test_a_task_that_was_killed_starts_with_what_is_stored(storage, tmp_path):
    first, root = Machine(tmp_path / "first"), tmp_path / "task"
    first.make("one", (), finish=False)
    first.work.push()
    work = task_of(root, NAMES)
    for name, content in (("a", "one"), ("b", "one")):
        (root / "cams").mkdir(exist_ok=True)
        (root / "cams" / f"{name}.npz").write_text(content)
        if name == "a":
            work.push()
    first = Machine(tmp_path / "first")
    first.make("two", (), finish=False)  # a run with other settings
    first.work.push()
    task_of(root, NAMES)
    assert not list((root / "cams").glob("*.npz"))


def test_what_begins_while_files_are_looked_for_is_recorded_with_them(storage, tmp_path, monkeypatch):
    first = Machine(tmp_path / "first")
    (tmp_path / "first").mkdir(exist_ok=True)
    (tmp_path / "first" / "stages.json").write_text(json.dumps({"check-data": {"fingerprint": "c", "finished": True}}))
    look = first.work.mirror.changed_here

    def begun_meanwhile():
        first.make("new", NAMES[:1], finish=True)
        return look()

    monkeypatch.setattr(first.work.mirror, "changed_here", begun_meanwhile)
    first.work.push()
    other = Machine(tmp_path / "other")
    assert other.records()["make-cams"]["fingerprint"] == "new"
    assert other.holds_together()
    assert not other.records()["make-cams"]["finished"]


@pytest.mark.parametrize("change", ["other", None])
def test_two_who_correct_the_same_image_do_not_overwrite_each_other(storage, tmp_path, change):
    first = Machine(tmp_path / "first")
    first.make("one")
    corrections = first.root / "corrections"
    corrections.mkdir()
    for name in ("a.json", "b.json"):
        (corrections / name).write_text("before")
    first.work.push()
    other = Machine(tmp_path / "other")
    (corrections / "a.json").write_text("mine")
    first.work.push()
    (other.root / "corrections" / "b.json").write_text("of another image")
    other.work.push()
    theirs = other.root / "corrections" / "a.json"
    theirs.unlink() if change is None else theirs.write_text(change)
    with pytest.raises(InputError, match=r"somebody else has changed corrections/a\.json meanwhile"):
        other.work.push()
    found = Machine(tmp_path / "third").root / "corrections"
    assert [(found / name).read_text() for name in ("a.json", "b.json")] == ["mine", "of another image"]


@pytest.mark.parametrize("change", ["alike", None])
def test_two_who_change_a_correction_alike_are_no_conflict(storage, tmp_path, change):
    first = Machine(tmp_path / "first")
    first.make("one")
    (first.root / "corrections").mkdir()
    (first.root / "corrections" / "a.json").write_text("before")
    first.work.push()
    other = Machine(tmp_path / "other")
    for root in (first.root, other.root):
        file = root / "corrections" / "a.json"
        file.unlink() if change is None else file.write_text(change)
    first.work.push()
    other.work.push()
    left = Machine(tmp_path / "third").root / "corrections" / "a.json"
    assert (left.read_text() if left.exists() else None) == change


def test_what_is_withdrawn_or_over_stays_so(storage, tmp_path):
    first = Machine(tmp_path / "first")
    first.make("one")
    files = [first.root / name for name in ("corrections/a.png", "relabelled/a.png", "net.checkpoint.safetensors")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("before")
    first.work.push()
    for file in files:
        file.unlink()
    first = Machine(tmp_path / "first")  # killed before it stored that
    assert not any(file.exists() for file in files)
    first.work.push()
    other = Machine(tmp_path / "other")
    assert not any((other.root / file.relative_to(first.root)).exists() for file in files)


def test_a_copy_that_was_cleared_up_gets_back_what_is_only_stored(storage, tmp_path):
    first = Machine(tmp_path / "first")
    first.make("one", finish=False)
    kept = ("net.checkpoint.safetensors", "corrections/a.json")
    for name in kept:
        (first.root / name).parent.mkdir(exist_ok=True)
        (first.root / name).write_text("precious")
    first.work.push()
    shutil.rmtree(first.root)
    again = Machine(tmp_path / "first")
    again.work.push()
    other = Machine(tmp_path / "other")
    assert all((machine.root / name).read_text() == "precious" for name in kept for machine in (again, other))


def test_a_table_that_grows_while_it_is_stored_keeps_its_rows(storage, tmp_path, monkeypatch):
    first = Machine(tmp_path / "first")
    first.make("one", finish=False)
    table = first.root / "doubts.csv"
    table.write_text("a,1,\n")
    put = storage.put_file

    def growing(source, target, **options):
        put(source, target, **options)
        if source.endswith("doubts.csv"):
            with table.open("a") as file:
                file.write("b,1,\n")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "put_file", growing)
        first.work.push()
    first = Machine(tmp_path / "first")
    assert table.read_text() == "a,1,\nb,1,\n"
    first.work.push()
    assert (Machine(tmp_path / "other").root / "doubts.csv").read_text() == "a,1,\nb,1,\n"


def test_what_somebody_else_has_deleted_is_no_obstacle(storage, tmp_path, monkeypatch):
    first = Machine(tmp_path / "first")
    first.make("one")
    (first.root / "net.checkpoint.safetensors").write_text("state")
    first.work.push()
    (first.root / "net.checkpoint.safetensors").unlink()

    def gone(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(storage, "rm_file", gone)
    first.work.push()
    first.work.push()


def test_marks_of_folders_are_no_files(storage, tmp_path, monkeypatch):
    storage.pipe("/bucket/work/a.txt", b"a")
    find = storage.find
    mark = {"/bucket/work/sub/": {"name": "/bucket/work/sub/", "size": 0, "type": "file"}}
    monkeypatch.setattr(storage, "find", lambda root, detail: {**find(root, detail=detail), **mark})
    assert list(Mirror("memory://bucket/work", tmp_path / "copy").there()) == ["a.txt"]


def test_a_task_is_told_that_a_run_changed_the_settings(storage, tmp_path):
    first = Machine(tmp_path / "first")
    first.make("one", finish=False)
    first.work.push()
    work = TaskWork(Mirror("memory://bucket/work", tmp_path / "task"), "1-of-2")
    work.pull()
    first.make("two", finish=False)
    first.work.push()
    with pytest.raises(InputError, match="a run has changed make-cams meanwhile; start this task again"):
        work.push()


def test_a_name_that_leads_out_of_the_folder_is_refused(storage, tmp_path):
    storage.pipe("/bucket/work/../../../etc/passwd", b"")
    storage.store["/bucket/work/../outside"] = storage.store.pop(next(iter(storage.store)))
    with pytest.raises(InputError, match="leads out of the folder"):
        Mirror("memory://bucket/work", tmp_path / "copy").pull()
    assert not (tmp_path / "outside").exists()


def test_what_went_wrong_first_is_raised_and_what_cannot_be_stored_is_said(storage, tmp_path, monkeypatch):
    first = Machine(tmp_path / "first")
    said: list[str] = []
    first.make("one")
    monkeypatch.setattr(storage, "pipe_file", lambda *arguments: (_ for _ in ()).throw(ConnectionError("gone")))
    with pytest.raises(InputError, match="the first"), first.work.kept_up(said.append):
        raise InputError("the first")
    assert said == ["not stored: memory://bucket/work: cannot be reached (gone)"]
    with pytest.raises(OSError, match="cannot be reached"), first.work.kept_up(said.append):
        pass
