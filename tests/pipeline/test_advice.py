"""What limits a collection, from measured facts."""

from affinitynet.data.facts import ClassFacts, CollectionFacts, Pair
from affinitynet.pipeline.advice import LINES, advice
from affinitynet.work.learnt import ClassLearnt, Learnt


def of(classes, learnt, **facts):
    return CollectionFacts(training_images=200, classes=classes, **facts), Learnt(learnt, "local")


def test_a_collection_without_a_fault_gets_no_advice():
    facts, learnt = of((ClassFacts("a", 120),), (ClassLearnt("a", 100, 20, 0.95, 0.5, 0.2, 200.0),))
    assert advice(facts, learnt, added=0, tagged=120) == []


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
    lines = advice(facts, learnt, added=60, tagged=190)
    for expected in (
        "rare: not learnt from 30 images; tag about 70 more",
        "rare and twin come together in 28 of 30 images",
        "always: only 5 of 200 images are without it",
        "tiny: its pieces are about 11 pixels wide",
        "in 60 of 190 tagged images",
    ):
        assert any(line.startswith(expected) for line in lines), (expected, lines)
    assert len(lines) == 5


def test_advice_fits_a_screen():
    names = [f"c{n}" for n in range(40)]
    facts, learnt = of(
        tuple(ClassFacts(name, 20) for name in names), tuple(ClassLearnt(name, 16, 4, 0.1, 0.1) for name in names)
    )
    assert len(advice(facts, learnt, 0, 200)) == LINES
