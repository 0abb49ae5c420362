"""What limits a collection, from measured facts."""

import numpy as np
from PIL import Image

from affinitynet.config.settings import PipelineConfig
from affinitynet.data.facts import ClassFacts, CollectionFacts, Pair
from affinitynet.pipeline.advice import LINES, NAMED, advice, worse
from affinitynet.pipeline.kept_tags import HEADER, Added, count_added
from affinitynet.pipeline.run import open_context
from affinitynet.runtime.runtime import Runtime
from affinitynet.work.folder import WorkFolder
from affinitynet.work.learnt import ClassLearnt, Learnt
from affinitynet.work.metrics import BEST_CAM, CAM, CAM_CRF, MASKS, SEGMENTER, WALK, StepMetrics
from affinitynet.work.rows import write_rows
from tests.support.worlds import plain_folder

NOTHING_ADDED = Added(0, 200, "added.csv")


def of(classes, learnt, **facts):
    return CollectionFacts(training_images=200, classes=classes, **facts), Learnt(learnt, "local")


def test_a_collection_without_a_fault_gets_no_advice():
    facts, learnt = of((ClassFacts("a", 120),), (ClassLearnt("a", 100, 20, 0.95, 0.5, 0.2, 200.0),))
    assert advice(facts, learnt, NOTHING_ADDED) == []


def test_each_fault_has_its_line():
    facts, learnt = of(
        (ClassFacts("rare", 30), ClassFacts("always", 195), ClassFacts("tiny", 100), ClassFacts("twin", 40)),
        (
            ClassLearnt("rare", 25, 5, 0.3, 0.15, 0.1, 100.0),
            ClassLearnt("always", 160, 35, 0.99, 0.9, 0.1, 100.0),
            ClassLearnt("tiny", 85, 15, 0.97, 0.5, 0.001, 11.0),
            ClassLearnt("twin", 35, 5, 0.97, 0.2, 0.1, 100.0),
        ),
        pairs=(Pair("rare", "twin", 28), Pair("always", "tiny", 3)),
    )
    lines = advice(facts, learnt, Added(60, 190, "added.csv"))
    for expected in (
        "rare: not learnt from 30 images; tag about 70 more",
        "rare and twin come together in 28 of 30 images",
        "always: only 5 of 200 images are without it",
        "tiny: its pieces are about 11 pixels wide",
        "in 60 of 190 tagged images a class was not sure enough",
    ):
        assert any(line.startswith(expected) for line in lines), (expected, lines)
    assert len(lines) == 5


def test_of_a_class_of_which_nothing_was_held_out_nobody_knows_whether_it_was_learnt():
    facts, learnt = of((ClassFacts("rare", 3),), (ClassLearnt("rare", 3, 0, None, 0.0),))
    (line,) = advice(facts, learnt, NOTHING_ADDED)
    assert line.startswith("rare: too few images were held out to know")


def test_advice_fits_a_screen():
    names = [f"c{n}" for n in range(40)]
    facts, learnt = of(
        tuple(ClassFacts(name, 20) for name in names), tuple(ClassLearnt(name, 16, 4, 0.1, 0.1) for name in names)
    )
    assert len(advice(facts, learnt, NOTHING_ADDED)) == LINES


def found(*pixels):
    """Metrics of masks that find so many of 100 pixels of each class, and nothing that is not there."""
    matrix = np.diag([1000, *pixels])
    matrix[1:, 0] = 100 - np.array(pixels)
    return StepMetrics.of(matrix, ["rust", "miner", *map(str, range(2, len(pixels)))], images=10)


def test_masks_that_are_worse_than_a_step_before_have_a_line():
    (line,) = worse({"val": {CAM: found(30, 30), CAM_CRF: found(60, 40), MASKS: found(40, 60)}})
    assert line.startswith(
        "val: masks that are worse than a step before them, though not on the whole: rust (IoU 40%, CAM + CRF 60%); "
    )
    (line,) = worse({"val": {CAM: found(70, 70), WALK: found(60, 60), MASKS: found(20, 75)}})
    assert line.startswith("val: the masks (mIoU 62%) are worse than CAM (78%): ")


def test_masks_that_are_about_as_good_or_compared_with_what_truth_chose_have_none():
    steps = {CAM: found(41, 30), BEST_CAM: found(90, 90), MASKS: found(40, 60), SEGMENTER: found(90, 90)}
    assert worse({"val": steps}) == []
    assert worse({"val": {MASKS: found(1, 1)}}) == []


def test_a_class_that_is_nowhere_before_the_masks_is_not_compared():
    before, masks = np.diag([10, 5, 0]), np.diag([10, 10, 0])
    before[1, 0], masks[0, 2] = 5, 1
    steps = {CAM: StepMetrics.of(before, ["rust", "miner"], 1), MASKS: StepMetrics.of(masks, ["rust", "miner"], 1)}
    assert steps[CAM].iou["miner"] != steps[CAM].iou["miner"]
    assert worse({"val": steps}) == []


def test_many_classes_share_a_line():
    (line,) = worse({"val": {CAM: found(0, *[50] * (NAMED + 2)), MASKS: found(100, *[45] * (NAMED + 2))}})
    assert line.count("IoU") == NAMED
    assert "and 2 more classes" in line
    assert "rust" not in line


def test_images_are_counted_once_without_drawn_ones_and_in_the_table_of_the_final_masks(tmp_path):
    data = plain_folder(tmp_path / "data", "file,tags\na.png,cat;dog\nb.png,cat\nc.png,dog\nd.png,\n", count=4)
    (data / "drawn").mkdir()
    Image.new("L", (40, 32), 1).save(data / "drawn" / "b.png")
    work = WorkFolder(tmp_path / "work")
    context = open_context(data, work, PipelineConfig(), Runtime("cpu", 1))
    assert count_added(context) == Added(0, 2, "added.csv")
    rows = [("a", "cat", "added"), ("a", "dog", "added"), ("b", "cat", "added"), ("c", "dog", "missing")]
    write_rows(work.added_file, HEADER, rows)
    assert count_added(context) == Added(1, 2, "added.csv")
    write_rows(work.added_refined_file, HEADER, [("a", "cat", "added"), ("c", "dog", "added")])
    work.refined.save("a", np.zeros((2, 2), np.uint8))
    assert count_added(context) == Added(2, 2, "added_refined.csv")
