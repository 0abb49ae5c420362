"""Ground truth in black and white: 255 is the class where nothing else can be meant, and "ignore" everywhere else."""

import numpy as np
import pytest
from PIL import Image

from affinitynet.data.collection import open_collection
from affinitynet.errors import InputError

SIZE = (32, 40)


def collection(root, masks, tags=("lesion", "lesion", "")):
    """A folder of images with the given tags, and a mask of these values, in bands, for each."""
    (root / "masks").mkdir(parents=True)
    rows = ["file,tags"]
    for number, (values, tag) in enumerate(zip(masks, tags, strict=True)):
        Image.fromarray(np.full((*SIZE, 3), number % 200, np.uint8)).save(root / f"{number}.png")
        rows.append(f"{number}.png,{tag}")
        if values is not None:
            bands = np.repeat(np.array(values, np.uint8), SIZE[0] // len(values))
            stored = np.zeros(SIZE, np.uint8)
            stored[: len(bands)] = bands[:, None]
            Image.fromarray(stored).save(root / "masks" / f"{number}.png")
    (root / "tags.csv").write_text("\n".join(rows))
    return open_collection(root)


def values(found, number):
    return set(np.unique(found.mask(found.splits["all"][number])).tolist())


def test_black_and_white_masks_of_one_class(tmp_path):
    found = collection(tmp_path / "data", [(0, 255), (0, 255, 255), (0, 0)])
    assert [values(found, number) for number in range(3)] == [{0, 1}, {0, 1}, {0}]
    assert [remark.kind for remark in found.remarks] == ["taken"]
    assert found.remarks[0].text.startswith("3 masks are painted with 0 and 255: 255 is the class 'lesion'")


@pytest.mark.parametrize(
    ("masks", "tags"),
    [
        ([(0, 1, 255), (0, 1), (0, 0)], ("lesion", "lesion", "")),  # 255 around the class
        ([(0, 255), (0, 1), (0, 0)], ("lesion", "lesion", "")),  # one mask says what the class is
        ([(0, 255), (0, 255), (0, 255)], ("lesion", "cat", "")),  # which class would it be?
        ([None, None, (0, 255)], ("lesion", "lesion", "")),  # no mask of an image with the class
        ([(0, 0), (0, 0), (0, 255)], ("lesion", "lesion", "")),
    ],
)
def test_255_is_ignore_everywhere_else(tmp_path, masks, tags):
    found = collection(tmp_path / "data", masks, tags)
    assert found.mask_values[255] == 255
    assert found.remarks == ()
    for number, mask in enumerate(masks):
        assert mask is None or values(found, number) == set(mask)


def test_a_mask_with_both_meanings_is_an_error(tmp_path):
    masks: list[tuple[int, ...]] = [(0, 255)] * 300
    masks[1] = (0, 1, 255)  # not among those that are looked at
    found = collection(tmp_path / "data", masks, ["lesion"] * 300)
    assert found.mask_values[255] == 1
    with pytest.raises(InputError, match=r"contains value 1, but the other masks hold 0 and 255 only"):
        found.mask(found.splits["all"][1])


def test_other_values_than_these_are_still_refused(tmp_path):
    found = collection(tmp_path / "data", [(0, 200), (0, 255), (0, 0)])
    with pytest.raises(InputError, match="contains value 200"):
        found.mask(found.splits["all"][0])
