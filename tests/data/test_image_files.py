"""The one walk over folders: what is found, followed, left alone and counted."""

import os
from pathlib import Path

import pytest
from PIL import Image

from affinitynet.data.image_files import NOT_AN_IMAGE, find_image_files, summary_of


def picture(path: Path, form: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3)).save(path, form)
    return path


def names(found):
    return [path.relative_to(found.root).as_posix() for path in found.images]


def reasons(found):
    return {passed.path.relative_to(found.root).as_posix(): passed.reason for passed in found.passed_over}


def test_content_counts_where_the_suffix_says_nothing(tmp_path):
    for name, form in (("a.JFIF", "JPEG"), ("b", "PNG"), ("c.dat", "GIF"), ("d.jpg_large", "JPEG"), ("e.pgm", "PPM")):
        picture(tmp_path / name, form)
    for name in ("notes.txt", "data.bin", "README", "table.csv"):
        (tmp_path / name).write_text("BM is not a picture")
    found = find_image_files(tmp_path)
    assert names(found) == ["a.JFIF", "b", "c.dat", "d.jpg_large", "e.pgm"]
    assert set(reasons(found).values()) == {NOT_AN_IMAGE}
    assert summary_of(found.passed_over) == ["4 files are not images (.bin, .csv, .txt, no suffix)"]


def test_what_systems_leave_behind_is_left_alone_and_counted(tmp_path):
    picture(tmp_path / "a.png")
    junk = (
        "._a.png",
        ".thumbnails/a.png",
        "@eaDir/a.png/SYNOPHOTO_THUMB_XL.png",
        "__MACOSX/a.png",
        "#recycle/a.png",
        "$RECYCLE.BIN/a.png",
        "System Volume Information/a.png",
        "lost+found/a.png",
        "sub/.ipynb_checkpoints/a.png",
        "~$a.png",
    )
    for name in junk:
        picture(tmp_path / name)
    (tmp_path / "Thumbs.db").write_bytes(b"")
    found = find_image_files(tmp_path)
    assert names(found) == ["a.png"]
    assert found.junk == len(junk) + 1
    assert found.passed_over == ()


def test_linked_folders_are_followed_once_and_never_up(tmp_path):
    picture(tmp_path / "elsewhere" / "deep" / "b.png")
    root = tmp_path / "root"
    picture(root / "real" / "a.png")
    for link, target in (
        ("a-link", root / "real"),
        ("other", tmp_path / "elsewhere"),
        ("other-again", tmp_path / "elsewhere"),
        ("real/up", root),
        ("above", tmp_path),
        ("loop", root / "loop"),
        ("nothing", root / "absent"),
    ):
        (root / link).symlink_to(target)
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    found = find_image_files(root)
    assert names(found) == ["other/deep/b.png", "real/a.png"]
    assert set(reasons(found)) == {"a-link", "other-again", "other/back", "real/up", "above", "loop", "nothing"}
    (root / "c.png").symlink_to(root / "real" / "a.png")  # a link to a file is a file
    assert "c.png" in names(find_image_files(root))


def test_what_affinitynet_wrote_is_left_alone(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "work" / "masks" / "a.png")
    for name in ("config.yaml", "stages.json"):
        (tmp_path / "work" / name).write_text("{}")
    picture(tmp_path / "labelled" / "overlays" / "a.jpg", "JPEG")
    (tmp_path / "labelled" / "affinitynet.json").write_text("{}")
    picture(tmp_path / "mine" / "b.png")
    (tmp_path / "mine" / "config.yaml").write_text("{}")  # not a work folder
    picture(tmp_path / "wanted" / "c.png")
    found = find_image_files(tmp_path, without=[tmp_path / "wanted"])
    assert names(found) == ["a.png", "mine/b.png"]
    assert set(reasons(found)) == {"work", "labelled", "mine/config.yaml"}


def test_pictures_that_are_not_read_here_are_told_from_other_files(tmp_path, monkeypatch):
    monkeypatch.setattr("affinitynet.data.image_files.cure_for", lambda name: "get it" if name == "HEIC" else "")
    (tmp_path / "IMG_1.HEIC").write_bytes(b"")
    (tmp_path / "no-suffix").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    found = find_image_files(tmp_path)
    assert [passed.picture for passed in found.passed_over] == [True, True]
    assert summary_of(found.passed_over) == ["2 files are not read; HEIC: get it"]


def test_raw_files_of_cameras_are_no_tiff(tmp_path):
    (tmp_path / "a.NEF").write_bytes(b"MM\0*" + bytes(100))
    (tmp_path / "b.cr2.download").write_bytes(b"II*\0\x10\0\0\0CR\x02\0" + bytes(100))
    found = find_image_files(tmp_path)
    assert found.images == ()
    assert summary_of(found.passed_over) == ["2 files are not read; camera raw: export them as JPEG or TIFF"]


def test_known_suffixes_are_not_opened(tmp_path, monkeypatch):
    for number in range(20):
        picture(tmp_path / f"{number}.png")
    (tmp_path / "a.xml").write_text("<a/>")
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("opened"))
    assert len(find_image_files(tmp_path).images) == 20


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_opened_is_named(tmp_path):
    picture(tmp_path / "closed" / "a.png")
    (tmp_path / "closed").chmod(0)
    found = find_image_files(tmp_path)
    (tmp_path / "closed").chmod(0o755)
    assert "cannot be opened" in reasons(found)["closed"]
