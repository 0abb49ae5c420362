"""Names in tables and lists find their files: exactly, else tolerantly, never one of two."""

import unicodedata
from pathlib import Path

import pytest

from affinitynet.data.layouts.names import FileNames, Name, artifact_names
from affinitynet.errors import InputError, Problems

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Büro/Küche é.png") for form in ("NFC", "NFD"))


def find(written, *keys, root=Path("/somewhere/shop"), base=""):
    """Return what a name is found as, and the rule that is said."""
    problems = Problems()
    key = FileNames(root, keys).match([Name(written, "tags.csv:2", base)], problems)[0]
    rules = [remark.text.split(": ")[0].removeprefix("1 ") for remark in problems.remarks]
    return key, rules[0] if rules else None


@pytest.mark.parametrize("written", ["sub/a.png", "sub/a", "./sub/a.png", r"sub\a.png", "sub//a.png", "sub/../sub/a"])
def test_exact_names_are_found_without_a_word(written):
    assert find(written, "sub/a.png", "sub/b.png") == ("sub/a.png", None)


@pytest.mark.parametrize("written", ["a.png", "a", "images/a.png", "images/a"])
def test_images_may_be_left_out_of_names(written):
    assert find(written, "images/a.png", "images/b.png") == ("images/a.png", None)


@pytest.mark.parametrize(
    ("written", "key", "rule"),
    [
        ("img_1.jpg", "IMG_1.JPG", "upper and lower case"),
        ("Garden/IMG_2", "garden/img_2.JPG", "upper and lower case"),
        (COMPOSED, DECOMPOSED, "encoded in another way"),
        (DECOMPOSED, COMPOSED, "encoded in another way"),
        (COMPOSED.upper(), DECOMPOSED, "upper and lower case"),
        ("a\u00a0b\u200b.png", "a b.png", "blanks or invisible"),
        ("a  b.png", "a b.png", "blanks or invisible"),
        ("a%20b%C3%A9.png", "a bé.png", "URL escapes"),
        ("a.jpg", "a.png", "another suffix"),
        ("a.jpg", "sub/../a.JPEG".replace("sub/../", ""), "another suffix"),
        ("12", "sub/0012.jpg", "leading zeros"),
        ("12.jpg", "0012.jpg", "leading zeros"),
        ("shop/a.png", "a.png", "the folder's own name"),
        ("/somewhere/shop/sub/a.png", "sub/a.png", "absolute paths inside"),
        ("file:///somewhere/shop/sub/a.png", "sub/a.png", "absolute paths inside"),
        ("../shop/a.png", "a.png", "leave the folder and return"),
        ("a.png", "2024/june/a.png", "the file name alone"),
        ("old/place/a.png", "a.png", "the file name alone"),
        ("/home/me/photos/june/a.png", "june/a.png", "last parts"),
        (r"C:\Users\me\june\a.png", "june/a.png", "last parts"),
        ("https://host/bucket/a.png?token=1", "a.png", "the file name alone"),
        ("/data/upload/1/3f2a91bc-a.png", "a.png", "uploads"),
        ("/data/upload/1/3f2a91bc-a.png", "3f2a91bc-a.png", "uploads"),
        ("/data/local-files/?d=sub/a.png", "sub/a.png", "local files"),
    ],
)
def test_other_spellings_are_found_and_said(written, key, rule):
    found, said = find(written, key, "other.png")
    assert found == key
    assert said is not None
    assert rule in said


@pytest.mark.parametrize(
    ("written", "keys", "rest"),
    [
        ("a", ("a.png", "a.bmp"), "may be a.png or a.bmp"),
        ("A.PNG", ("a.png", "a.Png"), "may be a.png or a.Png"),
        ("a.jpeg", ("a.png", "a.bmp"), "may be a.png or a.bmp"),
        ("a.png", ("x/a.png", "y/a.png"), "may be x/a.png or y/a.png"),
        ("7", ("07.png", "007.png"), "may be 07.png or 007.png"),
        ("x/a.png", ("x/b.png", "y/a.png"), "no image"),
        ("/old/x/a.png", ("x/b.png", "y/a.png"), "no image|leads outside"),
        ("kitten.png", ("kitten 1.png", "dog.png"), "did you mean 'kitten 1.png'"),
        ("../a.png", ("a.png",), "leads outside"),
        ("/etc/passwd", ("passwd.png",), "leads outside"),
    ],
)
def test_there_is_no_guess_between_two(written, keys, rest):
    with pytest.raises(InputError, match=rest):
        find(written, *keys)


def test_the_stricter_rule_wins():
    assert find("a.png", "a.png", "A.png", "a.jpg") == ("a.png", None)
    assert find("A.jpg", "a.jpg", "A.png") == ("a.jpg", "names that differ in upper and lower case")
    assert find("a.png", "a.png", "train/a.png", base="train") == ("train/a.png", None)


@pytest.mark.parametrize("names", [("a.png", "a.jpg"), ("x/a.png", "y/a.png"), ("/upload/11111111-a.png", "a.png")])
def test_a_file_that_another_name_means_is_not_taken(names):
    problems = Problems("skip")
    wanted = [Name(name, "tags.csv") for name in names]
    matched = FileNames(Path("shop"), ["a.png"]).match(wanted, problems)
    assert problems.found
    assert all("another name" in left.reason for left in problems.found)
    assert {"a.png"} >= {key for key in matched if key}


def test_an_absolute_path_to_another_file_that_exists_is_refused(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match="leads outside"):
        find((tmp_path / "a.png").as_posix(), "a.png")


def test_artifact_names_are_unique_where_case_makes_no_difference():
    problems = Problems()
    assert artifact_names(["IMG.jpg", "img.PNG", "c.png"], problems) == {
        "IMG.jpg": "IMG.jpg",
        "img.PNG": "img.PNG",
        "c.png": "c",
    }
    assert not problems.remarks
    artifact_names(["a.jpg", "A.jpg"], problems)
    assert "overwrite each other" in " ".join(remark.text for remark in problems.remarks)
