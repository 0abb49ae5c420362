"""Class names that were not meant: every kind of slip is found, and names that people really use are left alone."""

import pytest
from torchvision.models._meta import _COCO_CATEGORIES, _VOC_CATEGORIES

from affinitynet.data.class_names import joined, look_alikes, names_absence, names_nothing


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cat", "Cat"),
        ("CAT", "cat"),
        ("café", "cafe\u0301"),
        ("dog", "dog\u200b"),
        ("dog", "do\u00adg"),
        ("traffic light", "traffic_light"),
        ("traffic-light", "TrafficLight"),
        ("dog", "dogs"),
        ("screw", "screws"),
        ("berry", "berries"),
        ("glass", "glasses"),
        ("bus", "buses"),
        ("Straße", "STRASSE"),
        ("dog", "\uff44\uff4f\uff47"),
    ],
)
@pytest.mark.parametrize("images", [(50, 50), (50, 3)])
def test_spellings_of_one_name(one, other, images):
    assert set(next(look_alikes(dict(zip((one, other), images, strict=True))))) == {one, other}


@pytest.mark.parametrize("slip", ["persn", "persoon", "parson", "pesron", "Persom"])
def test_a_rare_slip_of_a_frequent_name(slip):
    assert list(look_alikes({"person": 90, slip: 2})) == [("person", slip)]
    assert list(look_alikes({slip: 2, "person": 90})) == [("person", slip)]
    assert list(look_alikes({"person": 90, slip: 80})) == []


@pytest.mark.parametrize("slip", ["catt", "caat", "ccat", "CATT"])
def test_a_letter_struck_twice_in_a_short_name(slip):
    assert list(look_alikes({"cat": 90, slip: 2})) == [("cat", slip)]
    assert list(look_alikes({"cat": 90, slip: 80})) == []
    assert list(look_alikes({slip: 90, "cat": 2})) == []  # "be" is no slip of "bee"


@pytest.mark.parametrize("names", [_COCO_CATEGORIES, _VOC_CATEGORIES])
@pytest.mark.parametrize("rare", [100, 3])
def test_classes_of_well_known_collections_are_different_classes(names, rare):
    distinct = [name for name in dict.fromkeys(names) if name not in ("N/A", "__background__")]
    assert list(look_alikes({name: rare if i % 2 else 100 for i, name in enumerate(distinct)})) == []
    assert joined(distinct) == []
    assert not any(names_nothing(name) or names_absence(name) for name in distinct)


@pytest.mark.parametrize(
    "pair", [("grade 1", "grade 2"), ("type_a", "type_b"), ("T1", "T2"), ("cat", "car"), ("+", "-")]
)
def test_numbered_and_short_names_are_different_classes(pair):
    assert list(look_alikes({pair[0]: 90, pair[1]: 2})) == []


@pytest.mark.parametrize("name", ["cat, dog", "cat|dog", "cat\ndog", "cat/dog", "cat & dog", "cat and dog", "dog+cat"])
def test_several_tags_in_one(name):
    assert joined(["cat", "dog", name]) == [name]


@pytest.mark.parametrize("name", ["salt and pepper", "24/7", "black & white", "C++", "A/C"])
def test_one_tag_with_signs_in_it(name):
    assert joined(["cat", "dog", name]) == []


@pytest.mark.parametrize("name", ["background", "BG", "NaN", "None", "negative", "Unlabelled", "n/a", "no label", "-"])
def test_words_for_nothing(name):
    assert names_nothing(name)
