"""Work folders on drives other than a local Linux disk: no permissions, no locks, no renaming over files, odd names."""

import errno
import os
from pathlib import Path
from unittest import mock

import pytest

from affinitynet.cli import main
from affinitynet.errors import InputError
from affinitynet.files import UNFINISHED, atomic_file, write_text
from affinitynet.work.drive import refused_names
from affinitynet.work.folder import WorkFolder
from tests.support.worlds import plain_folder


def failing(number):
    def fails(*_, **__):
        raise OSError(number, os.strerror(number))

    return fails


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_files_are_written_where_permissions_cannot_be_set(tmp_path, number):
    with mock.patch("os.chmod", failing(number)), mock.patch("pathlib.Path.chmod", failing(number)):
        write_text(tmp_path / "a.txt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EOPNOTSUPP])
def test_a_drive_that_does_not_rename_over_files(tmp_path, number):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with mock.patch("pathlib.Path.replace", failing(number)):
        write_text(path, "new")
        with pytest.raises(OSError, match="b"):  # where there is nothing to replace, it is another trouble
            write_text(tmp_path / "b.txt", "new")
    assert {entry.name: entry.read_text() for entry in tmp_path.iterdir()} == {"a.txt": "new"}


def test_a_file_held_for_a_moment_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("affinitynet.files.PAUSES", (0.0, 0.0))
    really, failures = Path.replace, [errno.EACCES, errno.EBUSY]

    def held(self, target):
        if failures:
            raise OSError(failures.pop(), "held")
        return really(self, target)

    with mock.patch("pathlib.Path.replace", held):
        write_text(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole"
    with mock.patch("pathlib.Path.replace", failing(errno.EACCES)), pytest.raises(PermissionError):
        write_text(tmp_path / "a.txt", "new")
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["whole"]


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_drive_without_locks_is_used_and_said(tmp_path, number):
    said: list[str] = []
    with mock.patch("fcntl.flock", failing(number)), WorkFolder(tmp_path / "w").locked(said.append):
        write_text(tmp_path / "w" / "a.txt", "whole")
    assert len(said) == 1
    assert "its drive knows no locks" in said[0]


def test_other_failures_of_the_lock_are_not_hidden(tmp_path):
    with (
        mock.patch("fcntl.flock", failing(errno.EIO)),
        pytest.raises(OSError, match=r"[Ii]nput"),
        WorkFolder(tmp_path / "w").locked(),
    ):
        pass


def test_a_lock_is_still_a_lock(tmp_path):
    with WorkFolder(tmp_path).locked(), pytest.raises(InputError, match="another run"), WorkFolder(tmp_path).locked():
        pass


NAMES = ["dog", "a:b", "what?", 'so "called"', "end.", "end ", "con", "sub./x", "x" * 200, "A/dog", "a/dog"]


def test_a_local_disk_takes_every_name_and_nothing_stays(tmp_path):
    assert refused_names(tmp_path / "w", NAMES) == {}
    assert list((tmp_path / "w").iterdir()) == []
    assert refused_names(tmp_path / "absent", ["dog", "cat"]) == {}
    assert not (tmp_path / "absent").exists()  # plain names are not tried


def exfat():
    """Let names that exFAT refuses fail as there, and take names that differ in case for the same file."""
    touch, exists = Path.touch, Path.exists

    def checked(self, *arguments, **options):
        if any(letter in self.name for letter in ':?"<>|*'):
            raise OSError(errno.EINVAL, "Invalid argument")
        touch(self, *arguments, **options)

    def insensitive(self, **options):
        if exists(self, **options):
            return True
        return any(str(other).casefold() == str(self).casefold() for other in self.parents[1].rglob("*"))

    return mock.patch.multiple(Path, touch=checked, exists=insensitive)


def test_names_that_a_drive_refuses_or_confuses_are_named(tmp_path):
    with exfat():
        refused = refused_names(tmp_path / "w", [*NAMES, "b.JPG", "b.jpg"])
    assert set(refused) == {"a:b", "what?", 'so "called"', "a/dog", "b.jpg"}
    assert "cannot hold that name (Invalid argument); rename the image" in refused["a:b"]
    assert "does not tell it from 'A/dog'" in refused["a/dog"]


def test_such_images_are_skipped_and_the_rest_is_done(tmp_path, capsys):
    root = plain_folder(tmp_path / "data")
    (root / "A.png").write_bytes((root / "b.png").read_bytes())
    (root / "what?.png").write_bytes((root / "b.png").read_bytes())
    rows = "".join(f"{name}.png,{tag}\n" for name, tag in (("a", "cat"), ("b", "dog"), ("A", "dog"), ("what?", "cat")))
    (root / "tags.csv").write_text(f"file,tags\n{rows}c.png,cat\nd.png,dog\n")
    for name in "cd":
        (root / f"{name}.png").write_bytes((root / "b.png").read_bytes())
    with exfat():
        code = main(["check-data", "--data", str(root), "--work", str(tmp_path / "work"), "--workers", "1"])
    said = capsys.readouterr().err
    assert code == 3
    assert "'what?': the drive of" in said
    assert "does not tell it from 'a.png'" in said or "does not tell it from 'A.png'" in said


def test_a_long_name_is_said_before_anything_is_computed(tmp_path):
    refused = refused_names(tmp_path, ["x" * 254])
    assert "File name too long" in refused["x" * 254]


def test_what_a_killed_try_leaves_is_swept(tmp_path):
    folder = WorkFolder(tmp_path)
    (tmp_path / f"{UNFINISHED}abc" / "sub").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt), atomic_file(tmp_path / "a.txt"):
        raise KeyboardInterrupt
    folder.sweep(())
    assert list(tmp_path.iterdir()) == []
