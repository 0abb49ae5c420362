"""Masks that were corrected in another tool come back as corrections, and exports carry them at once."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from affinitynet.cli import main
from affinitynet.data.collection import Collection
from affinitynet.data.corrections import Correction, Corrections
from affinitynet.errors import InputError
from affinitynet.files import read_label_image, save_mask
from affinitynet.pipeline.run import run_pipeline
from affinitynet.records import TaggedImage
from affinitynet.tools.export.export import export_masks
from affinitynet.tools.import_masks import UNSEEN, _meant, import_masks
from affinitynet.tools.review.steps import Step, load_steps
from tests.support.worlds import QUICK, copied, tags_of, tiny_world


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("import")
    data = tiny_world(root / "data")
    run_pipeline(data, root / "work", QUICK, workers=1, stages=_until_masks())
    return root


def _until_masks() -> list[str]:
    return ["check-data", "train-classifier", "make-cams", "make-seeds", "train-affinity", "random-walk", "make-masks"]


@pytest.fixture
def work(finished, tmp_path):
    return copied(finished / "work", tmp_path / "work")


@pytest.mark.parametrize("format", ["voc", "coco", "yolo"])
def test_what_was_corrected_comes_back_and_nothing_else(work, finished, tmp_path, format):
    name = sorted(path.stem for path in (work / "masks").glob("*.png"))[0]
    mask = read_label_image(work / "masks" / f"{name}.png").copy()
    mask[:] = 0
    mask[10:30, 10:40] = 2
    other = copied(work, tmp_path / "other")  # the other tool's own copy of the masks
    save_mask(other / "masks" / f"{name}.png", mask)
    export_masks(other, tmp_path / "out", format)
    found = import_masks(tmp_path / "out", work)
    assert found.corrected == 1
    corrections = Corrections(work / "corrections")
    assert list(corrections.names()) == [name]
    returned = corrections.mask(name, corrections.load(name).classes or ())
    assert returned is not None
    assert np.not_equal(returned, mask).mean() < 0.02  # outlines are rounded
    said = corrections.load(name)
    assert said.verdict == "corrected"
    tags = tags_of(finished / "data")[name]
    second = sorted({tag for names in tags_of(finished / "data").values() for tag in names})[1]
    assert set(said.tags or tags) == {*tags, second}


def test_exports_carry_corrections_and_leave_rejected_images_out(work, tmp_path):
    first, second, *rest = sorted(path.stem for path in (work / "masks").glob("*.png"))
    mask = np.zeros_like(read_label_image(work / "masks" / f"{first}.png"))
    mask[4:9, 4:9] = 1
    corrections = Corrections(work / "corrections")
    corrections.save(first, Correction("corrected"), mask)
    corrections.save(second, Correction("rejected"))
    exported = export_masks(work, tmp_path / "out", "voc")
    assert (read_label_image(tmp_path / "out" / "SegmentationClass" / f"{first}.png") == mask).all()
    assert not (tmp_path / "out" / "SegmentationClass" / f"{second}.png").exists()
    assert exported.images == len(rest) + 1
    assert any("rejected" in remark.text for remark in exported.remarks)


def test_a_correction_of_another_size_is_not_exported_and_said(work, tmp_path):
    name = sorted(path.stem for path in (work / "masks").glob("*.png"))[0]
    mask = read_label_image(work / "masks" / f"{name}.png")
    corrections = Corrections(work / "corrections")
    corrections.save(name, Correction("corrected"), np.ones((9, 9), np.uint8))
    corrections.save("gone", Correction("corrected"), np.ones((9, 9), np.uint8))
    said = " ".join(remark.text for remark in export_masks(work, tmp_path / "out", "voc").remarks)
    assert np.array_equal(read_label_image(tmp_path / "out" / "SegmentationClass" / f"{name}.png"), mask)
    assert f"{name}: its correction is not of its size" in said
    assert "1 corrections in" in said
    assert "are of images that are not here, the first of gone" in said


def test_the_next_run_learns_from_them(work, finished):
    folder = finished / "data"
    name = (folder / "splits" / "train.txt").read_text().split()[0].removesuffix(".png")
    mask = np.zeros_like(read_label_image(work / "masks" / f"{name}.png"))
    mask[4:9, 4:9] = 1
    Corrections(work / "corrections").save(name, Correction("corrected"), mask)
    with pytest.raises(InputError, match="images, tags, drawn masks or files of weights have changed"):
        run_pipeline(folder, work, QUICK, workers=1, stages=_until_masks())
    run_pipeline(folder, work, QUICK, workers=1, stages=_until_masks(), force=True)
    assert (read_label_image(work / "masks" / f"{name}.png") == mask).all()
    assert (work / "corrections" / f"{name}.png").exists()


def test_the_command_says_what_to_do_next(work, tmp_path, capsys):
    other = copied(work, tmp_path / "other")
    name = sorted(path.stem for path in (work / "masks").glob("*.png"))[0]
    save_mask(other / "masks" / f"{name}.png", np.ones_like(read_label_image(work / "masks" / f"{name}.png")))
    export_masks(other, tmp_path / "out", "voc")
    assert main(["import-masks", str(tmp_path / "out"), "--work", str(work)]) == 0
    said = capsys.readouterr().out
    assert "1 corrected masks, 5 as they were" in said
    assert "--force" in said


def test_masks_that_cannot_be_taken_are_left_out_and_the_rest_is_done(work, tmp_path, capsys):
    paths = sorted((work / "masks").glob("*.png"))
    other = copied(work, tmp_path / "other")
    for path in paths[:3]:
        save_mask(other / "masks" / path.name, np.ones_like(read_label_image(path)))
    export_masks(other, tmp_path / "out", "voc")
    large, broken, good = (tmp_path / "out" / "SegmentationClass" / path.name for path in paths[:3])
    picture = next((tmp_path / "out" / "JPEGImages").glob(f"{large.stem}.*"))
    for path in (large, picture):  # the other tool has enlarged the image, too
        Image.open(path).resize((200, 160), Image.Resampling.NEAREST).save(path)
    broken.write_bytes(broken.read_bytes()[:60])
    assert main(["import-masks", str(tmp_path / "out"), "--work", str(work)]) == 3
    told = capsys.readouterr()
    assert f"1 corrected masks, {len(paths) - 3} as they were" in told.out
    assert large.stem in told.err
    assert "export the image with it again" in told.err
    corrections = Corrections(work / "corrections")
    assert list(corrections.names()) == [good.stem]
    table = corrections.root / "left_out.csv"
    assert {large.stem, broken.stem} == {line.split(",")[0] for line in table.read_text().splitlines()[1:]}

    for path in (large, broken):
        path.unlink()
    assert main(["import-masks", str(tmp_path / "out"), "--work", str(work)]) == 0
    assert not table.exists()


def test_none_of_the_masks_can_be_taken(work, tmp_path):
    export_masks(work, tmp_path / "out", "voc")
    for path in (tmp_path / "out" / "SegmentationClass").glob("*.png"):
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match="none of its 6 masks can be taken"):
        import_masks(tmp_path / "out", work)
    assert not (work / "corrections").exists()


def test_what_cannot_be_meant_is_a_line(work, tmp_path):
    strange = tmp_path / "strange"
    for part in ("JPEGImages", "SegmentationClass"):
        (strange / part).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(strange / "JPEGImages" / "zebra.jpg")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(strange / "SegmentationClass" / "zebra.png")
    (strange / "labels.txt").write_text("circle\n")
    with pytest.raises(InputError, match=r"none of its 1 images|has the class"):
        import_masks(strange, work)
    with pytest.raises(InputError, match="no such folder"):
        import_masks(Path(tmp_path / "nowhere"), work)


def test_an_image_that_nobody_annotated_is_no_correction(work, finished, tmp_path):
    tagged = [name for name, tags in sorted(tags_of(finished / "data").items()) if tags]
    empty, small = ({name: np.zeros_like(read_label_image(work / "masks" / f"{name}.png"))} for name in tagged[:2])
    small[tagged[1]][20:24, 20:24] = 1
    found = import_masks(exported(work, tmp_path, empty | small), work)
    assert (found.corrected, found.same) == (1, 4)
    (left,) = found.left_out
    assert left.name == tagged[0]
    assert "shows nothing, but is tagged" in left.reason
    assert list(Corrections(work / "corrections").names()) == [tagged[1]]


def test_a_small_piece_of_a_large_photograph_is_a_correction(work, tmp_path):
    name = sorted(path.stem for path in (work / "masks").glob("*.png"))[0]
    mask = read_label_image(work / "masks" / f"{name}.png").copy()
    mask[2:5, 2:5] = 255
    assert 9 / mask.size < UNSEEN
    assert import_masks(exported(work, tmp_path, {name: mask}), work).corrected == 1


def exported(work, folder, masks):
    """Export a copy of a work folder with other masks."""
    other = copied(work, folder / "other")
    for name, mask in masks.items():
        save_mask(other / "masks" / f"{name}.png", mask)
    export_masks(other, folder / "out", "voc")
    return folder / "out"


def test_what_was_imported_before_stays_as_it_is(work, finished, tmp_path):
    name = sorted(path.stem for path in (work / "masks").glob("*.png"))[0]
    mask = np.zeros_like(read_label_image(work / "masks" / f"{name}.png"))
    for value in range(1, 3):
        mask[10 * value : 10 * value + 8] = value
    out = exported(work, tmp_path, {name: mask})
    assert import_masks(out, work).corrected == 1
    before = Corrections(work / "corrections").load(name)
    assert before.tags is not None
    assert import_masks(out, work).corrected == 0
    assert Corrections(work / "corrections").load(name) == before


def test_an_image_of_the_review_gets_a_step_that_can_be_undone(work, tmp_path):
    name = sorted(path.stem for path in (work / "masks").glob("*.png"))[0]
    mask = read_label_image(work / "masks" / f"{name}.png")
    classes = ("checker", "dots", "rings", "stripes")
    corrections, drawn, theirs = Corrections(work / "corrections"), mask.copy(), mask.copy()
    drawn[:9, :9], theirs[-9:, -9:] = 1, 1
    steps = load_steps(corrections, name, (), classes)
    steps.add(Step({"kind": "brush"}, (), "accepted"), drawn, mask)
    assert import_masks(exported(work, tmp_path, {name: theirs}), work).corrected == 0  # exports carry corrections
    save_mask(tmp_path / "out" / "SegmentationClass" / f"{name}.png", theirs)
    assert import_masks(tmp_path / "out", work).corrected == 1
    steps = load_steps(corrections, name, (), classes)
    assert [step.verdict for step in steps.steps] == ["accepted", "corrected"]
    undone = steps.undo()
    assert undone.now.verdict == "accepted"
    assert np.array_equal(np.asarray(undone.mask()), drawn)


def test_an_image_of_that_name_in_another_folder_is_another_image():
    def named(*names):
        return tuple(TaggedImage(name, Path(f"{name}.png"), ()) for name in names)

    rest = np.arange(256, dtype=np.uint8), "all", ()
    ours = Collection(Path(), ("cat",), {"all": named("site1/001", "site1/002", "top")}, *rest)
    splits = Collection(Path(), ("cat",), {"train": named("train/1", "#a", "images/b")}, *rest)
    assert set(_meant(["train_/1", "x/train_/1", "_a", "images_/b"], splits)) == {
        "train_/1",
        "x/train_/1",
        "_a",
        "images_/b",
    }
    names = ["site1/001", "train/site1/002", "site2/001", "002", "site1_001", "x/top", "top"]
    found = {name: image.name for name, image in _meant(names, ours).items()}
    assert found == {
        "site1/001": "site1/001",
        "train/site1/002": "site1/002",
        "002": "site1/002",
        "site1_001": "site1/001",
        "x/top": "top",
        "top": "top",
    }


def test_one_of_two_masks_is_not_taken_by_chance(work, tmp_path):
    name, other = sorted(path.stem for path in (work / "masks").glob("*.png"))[:2]
    mask = np.ones_like(read_label_image(work / "masks" / f"{name}.png"))
    out = exported(work, tmp_path, {name: mask, other: np.ones_like(read_label_image(work / "masks" / f"{other}.png"))})
    for kind in ("JPEGImages", "SegmentationClass"):
        (found,) = (out / kind).glob(f"{name}.*")
        (out / kind / "twin").mkdir()
        (out / kind / "twin" / found.name).write_bytes(found.read_bytes())
    listing = next((out / "ImageSets" / "Segmentation").glob("*.txt"))
    listing.write_text(f"{listing.read_text()}twin/{name}\n")
    found = import_masks(out, work)
    assert [left.name for left in found.left_out] == [name]
    assert list(Corrections(work / "corrections").names()) == [other]
