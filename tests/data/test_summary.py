"""The summary of a collection: every finding is made where it applies and only there, and it fits a screen."""

from dataclasses import replace

import pytest

from affinitynet.data.facts import (
    Cases,
    ClassFacts,
    CollectionFacts,
    ImageSizes,
    MaskFacts,
    Pair,
    SplitFacts,
)
from affinitynet.data.findings import findings
from affinitynet.data.summary import HEIGHT, WIDTH, summarise
from affinitynet.errors import Remark

FINE = CollectionFacts(
    folder="data",
    layout="a folder with tags.csv",
    split="train",
    splits=(SplitFacts("train", 200, trained=True, shared=200), SplitFacts("val", 50, 50, measured=True)),
    classes=(
        ClassFacts("cat", 120, 20, masks=20, pixels=5000, share=0.1),
        ClassFacts("dog", 80, 30, masks=30, pixels=9000, share=0.2),
    ),
    images=250,
    training_images=200,
    negatives=20,
    pairs=(Pair("cat", "dog", 30),),
    kinds={"8-bit RGB JPEG": 240, "16-bit gray TIFF": 10},
    sizes=ImageSizes((320, 240), (640, 480), (1024, 768)),
    masks=MaskFacts(50, background=100000, ignored=10, ignoring=4),
)
"""A collection in which nothing looks wrong."""


def classes(*images, pairs=(), total=200):
    """The fine collection with classes of these numbers of images, called a, b ..."""
    names = "abcdefghijklmnopqrstuvwxyz"
    found = tuple(
        ClassFacts(f"{names[i]} kind", number, masks=3, pixels=9, share=0.1) for i, number in enumerate(images)
    )
    together = tuple(Pair(f"{one} kind", f"{other} kind", number) for one, other, number in pairs)
    return replace(FINE, classes=found, pairs=together, training_images=total)


def texts(facts):
    return [finding.text for finding in findings(facts)]


def serious(facts):
    return [finding.text for finding in findings(facts) if finding.serious]


def test_where_nothing_looks_wrong_nothing_is_found():
    assert texts(FINE) == []


def test_the_lines_say_what_a_layman_asks():
    lines = [line.text for line in summarise(FINE).lines()]
    assert lines == [
        "What was understood of data:",
        "  layout    a folder with tags.csv",
        "  images    250 read: 8-bit RGB JPEG (240), 16-bit gray TIFF (10); 320 x 240 to 1,024 x 768 pixels,",
        "            the median 640 x 480",
        "  classes   2: cat (120 images), dog (80)",
        "  negatives 20 of 200 training images have no tag at all; each class is absent from 80 or more",
        "  together  most often cat and dog (30)",
        "  splits    train 200 (trained on); val 50 (measured, all with masks)",
        "  masks     50, of their pixels: background 88%, cat 4.4%, dog 7.9%, 255 (ignored) 0.0088%",
    ]


def test_classes_that_cannot_be_learnt():
    (every,) = serious(classes(200))
    assert "every training image has 'a kind'" in every
    assert "empty tags cell" in every
    (pair,) = serious(classes(40, 40, 70, pairs=[("a", "b", 40), ("a", "c", 10), ("b", "c", 10)]))
    assert "'a kind', 'b kind' always come together (40 images)" in pair
    (three,) = serious(classes(4, 4, 4, pairs=[("a", "b", 4), ("b", "c", 4), ("a", "c", 4)], total=9))
    assert "'a kind', 'b kind', 'c kind' always" in three
    (absent,) = serious(replace(FINE, classes=(*FINE.classes, ClassFacts("owl", 0, 3, masks=3, pixels=9))))
    assert "not trained on: owl (3)" in absent


@pytest.mark.parametrize(("images", "said"), [(199, True), (196, True), (195, False), (5, False), (4, True), (1, True)])
def test_too_few_with_or_without_a_class(images, said):
    found = texts(classes(images, 100))
    assert serious(classes(images, 100)) == []
    assert any("too few" in text and "a kind" in text for text in found) == said


def test_classes_that_come_only_with_another():
    found = texts(classes(20, 90, pairs=[("a", "b", 20)]))
    assert len(found) == 1
    assert "'a kind' (with 'b kind')" in found[0]
    assert texts(classes(20, 90, pairs=[("a", "b", 19)])) == []


def test_a_class_of_no_image_and_how_to_leave_it_out():
    found = texts(replace(FINE, classes=(*FINE.classes, ClassFacts("owl"))))
    assert len(found) == 1
    assert "1 class: owl" in found[0]
    assert "--classes cat,dog" in found[0]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("cat", "Cat"), "one class in two spellings? 'cat' (120) and 'Cat' (80)"),
        (("café", "cafe\u0301"), "'caf\\xe9' (120) and 'cafe\\u0301' (80)"),
        (("cat", "cat, dog"), "several tags in one: 'cat, dog'"),
        (("cat", "background"), "the class 'background' sounds like 'nothing is there'"),
        (("cat", "nan"), "the class 'nan' sounds"),
    ],
)
def test_names_that_were_not_meant(names, said):
    first, second = (replace(each, name=name) for each, name in zip(FINE.classes, names, strict=True))
    (found,) = texts(replace(FINE, classes=(first, second), pairs=(Pair(names[0], names[1], 30),)))
    assert said in found


def test_a_word_for_the_absence_of_the_others():
    renamed = (FINE.classes[0], replace(FINE.classes[1], name="healthy"))
    assert "'healthy' never comes with another" in texts(replace(FINE, classes=renamed, pairs=()))[0]
    assert texts(replace(FINE, classes=renamed, pairs=(Pair("cat", "healthy", 30),))) == []


def test_masks_without_a_class():
    bare = tuple(replace(each, masks=0, pixels=0, share=0.0) for each in FINE.classes)
    (black_white,) = texts(replace(FINE, classes=bare))
    assert "255 is 'ignore'" in black_white
    assert "1 = cat, 2 = dog" in black_white
    (black,) = texts(replace(FINE, classes=bare, masks=replace(FINE.masks, ignored=0)))
    assert "all masks are background" in black
    assert texts(replace(FINE, classes=bare, masks=MaskFacts())) == []
    (one,) = texts(replace(FINE, classes=(FINE.classes[0], bare[1])))
    assert "no mask has a pixel of dog" in one


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"masks": replace(FINE.masks, unpainted=Cases(3, "x"))}, "3 masks (the first: x) have no pixel"),
        ({"masks": replace(FINE.masks, missing=Cases(1, "x (cat)"))}, "1 mask (the first: x (cat)) has no pixel"),
        ({"masks": replace(FINE.masks, untagged=Cases(2, "x (cat)"))}, "a missing tag?"),
        ({"leaked": Cases(2, "x and y"), "repeated": Cases(2, "x and y")}, "measured on what was trained on"),
        ({"repeated": Cases(2, "x and y")}, "2 images show the same as another (x and y); remove"),
        ({"contradicted": Cases(1, "x and y")}, "1 image shows the same as another (x and y), but the tags differ"),
        ({"flat": Cases(1, "x")}, "1 image has almost one colour"),
        ({"sizes": replace(FINE.sizes, small=Cases(2, "x"))}, "2 images have a side below 64 pixels"),
        ({"sizes": replace(FINE.sizes, large=Cases(2, "x"))}, "2 images have a side above 4,096 pixels"),
        ({"splits": (SplitFacts("test", 9, 9, measured=True, shared=9),)}, "9 of the 9 images of split test"),
        ({"remarks": (Remark("warning", "3 masks belong to no image"),)}, "3 masks belong to no image"),
    ],
)  # fmt: skip
def test_one_finding_for_one_fault(change, said):
    (found,) = texts(replace(FINE, **change))
    assert said in found


def test_splits_that_hold_the_trained_one_are_no_leak():
    more = (SplitFacts("trainval", 250, 250, measured=True, shared=200), SplitFacts("train_aug", 9, 9, shared=9))
    assert texts(replace(FINE, splits=(*FINE.splits, *more))) == []


def test_what_was_read_tolerantly_and_not_used_is_said():
    facts = replace(
        FINE,
        remarks=(Remark("taken", "3 names that differ in case: a.jpg is a.JPG"),),
        passed_over=(Cases(12, "b/x.txt", "not an image (.txt)"), Cases(1, "y", "empty")),
        skipped=(Cases(2, "torn", "image"), Cases(1, "x", "row")),
    )
    text = "\n".join(line.text for line in summarise(facts).lines())
    assert "  taken     3 names that differ in case: a.jpg is a.JPG" in text
    assert "  not used  not an image (.txt): 12 files (e.g. b/x.txt); empty: 1 file (e.g. y)" in text
    assert "  skipped   2 images (e.g. torn), 1 row (e.g. x); the reasons are in left_out.csv" in text


def test_it_fits_a_screen_and_says_what_it_leaves_out():
    crowded = replace(
        classes(*range(1, 27), pairs=[("a", "b", 1)]),
        remarks=tuple(Remark("warning", f"{number} " + "something that looks wrong " * 5) for number in range(30)),
        passed_over=tuple(Cases(3, f"{number}.x", f"not an image (.{number})") for number in range(9)),
    )
    summary = summarise(crowded)
    lines = [line.text for line in summary.lines(height=HEIGHT)]
    assert len(lines) <= HEIGHT
    assert max(map(len, lines)) <= WIDTH
    left = int(lines[-1].split()[1])
    whole = "\n".join(line.text for line in summary.lines())
    shown = "\n".join(lines)
    assert sum(finding.text[:20] in whole for finding in summary.findings) == len(summary.findings)
    assert sum(finding.text[:20] not in shown for finding in summary.findings) == left > 0
    assert "26: z kind (26 images)" in shown
    assert "a kind (1: too few)" in shown


def test_a_class_with_a_comma_is_not_two():
    first = replace(FINE.classes[0], name="cat, dog")
    lines = [line.text for line in summarise(replace(FINE, classes=(first, FINE.classes[1]), pairs=())).lines()]
    assert "  classes   2: 'cat, dog' (120 images), dog (80)" in lines


def test_serious_matters_come_first():
    facts = replace(classes(200), remarks=(Remark("warning", "something"),), flat=Cases(1, "x"))
    assert [finding.serious for finding in findings(facts)] == [True, False, False]
    assert next(line.kind for line in summarise(facts).lines() if line.text.startswith("  !")) == "serious"


def test_an_empty_record_of_another_version_can_be_shown():
    assert summarise(CollectionFacts()).lines()


def test_names_of_others_cannot_steer_a_terminal():
    odd = "cat\x1b[31m\n\u200b\udcff"
    facts = replace(FINE, folder=odd, classes=(replace(FINE.classes[0], name=odd), FINE.classes[1]), flat=Cases(1, odd))
    lines = [line.text for line in summarise(facts).lines()]
    assert all(line.isprintable() for line in lines)
    assert "cat\\x1b[31m\\n\\u200b\\udcff (120 images)" in "".join(lines)
    assert any("has almost one colour" in line for line in lines)
