"""What a run does is a pure function of what decides the stages and of what the work folder has on record."""

from dataclasses import replace
from pathlib import Path

import pytest

from affinitynet.config.settings import CamConfig, PipelineConfig
from affinitynet.errors import InputError
from affinitynet.pipeline.plan import Facts, make_plan
from affinitynet.pipeline.table import Stage, commands, stages_of
from affinitynet.work.folder import StageRecord

WORK = Path("work")
TABLE = (
    Stage("learn", "", needs=(), settings=("rate",), images="training", outputs=("net",)),
    Stage("label", "", needs=("learn",), settings=("scale",), images="target", outputs=("maps",)),
    Stage("decide", "", needs=("label",), settings=("alpha",), images="target", outputs=("masks",), cheap=True),
    Stage("measure", "", needs=("label",), settings=(), images="target", outputs=(), sees=("decide",), truth=True,
          cheap=True),
)  # fmt: skip
FACTS = {
    "learn": Facts({"rate": 0.1}, "a"),
    "label": Facts({"scale": 1.0}, "b"),
    "decide": Facts({"alpha": 4.0}, "b"),
    "measure": Facts({}, "b", "t"),
}


def plan(facts=FACTS, records=None, chosen=TABLE, force=False):
    return make_plan(TABLE, chosen, facts, records or {}, WORK, force)


def records(facts=FACTS, **changes):
    """Return the records of a run of everything with these facts."""
    fingerprints = plan(facts).fingerprints
    made = {name: StageRecord(fingerprints[name], True, settings=facts[name].settings) for name in fingerprints}
    return {name: replace(record, **changes.get(name, {})) for name, record in made.items()}


def with_setting(stage, **settings):
    return {**FACTS, stage: replace(FACTS[stage], settings=settings)}


def test_the_walk_needs_only_the_network_that_it_follows():
    for config in (PipelineConfig(), PipelineConfig(propagation="irnet")):
        (walk,) = (stage for stage in stages_of(config) if stage.name == "random-walk")
        assert walk.needs == ("make-cams", f"train-{config.propagation}")


def test_nothing_on_record_is_run_and_what_finished_is_skipped():
    assert set(plan().actions.values()) == {"run"}
    assert set(plan(records=records()).actions.values()) == {"skip"}
    assert not plan(records=records()).forget


def test_what_was_interrupted_is_resumed():
    kept = records(label={"finished": False})
    kept = {name: kept[name] for name in ("learn", "label")}
    assert plan(records=kept).actions == {"learn": "skip", "label": "resume", "decide": "run", "measure": "run"}


def test_a_cheap_stage_is_recomputed_unasked_and_with_it_what_saw_it():
    found = plan(with_setting("decide", alpha=8.0), records())
    assert found.actions == {"learn": "skip", "label": "skip", "decide": "recompute", "measure": "recompute"}
    assert [stage.name for stage in found.forget] == ["decide", "measure"]


def test_an_expensive_stage_needs_force_and_the_message_says_what_goes_and_what_stays():
    changed = with_setting("label", scale=2.0)
    with pytest.raises(InputError) as raised:
        plan(changed, records())
    message = str(raised.value)
    assert "scale: 1.0 -> 2.0" in message
    assert "--force to recompute: label, decide, measure; what stays: learn" in message
    assert plan(changed, records(), force=True).actions["label"] == "recompute"


def test_an_interrupted_stage_of_other_settings_is_named_as_unfinished():
    kept = records(label={"finished": False})
    kept = {name: kept[name] for name in ("learn", "label")}
    with pytest.raises(InputError, match=r"recompute: label \(which had not finished\); what stays: learn"):
        plan(with_setting("label", scale=2.0), kept)
    # Settings of later stages concern nothing that exists.
    assert plan(with_setting("decide", alpha=8.0), kept).actions["label"] == "resume"


def test_an_expensive_stage_that_is_not_asked_for_stays_as_it_is():
    deciding = TABLE[:1] + TABLE[2:3]
    kept = {name: record for name, record in records().items() if name != "decide"}
    assert plan(with_setting("learn", rate=0.1), kept, deciding).forget == ()


def test_changed_images_are_told_from_changed_settings():
    with pytest.raises(InputError, match="its images, tags, drawn masks or files of weights have changed since"):
        plan({**FACTS, "learn": replace(FACTS["learn"], images="other")}, records())


def test_changed_truth_concerns_the_stage_that_measures_only():
    found = plan({**FACTS, "measure": replace(FACTS["measure"], truth="other")}, records())
    assert [stage.name for stage in found.forget] == ["measure"]


def test_what_is_needed_must_have_finished():
    with pytest.raises(InputError, match="label needs learn, which has not finished in --work work"):
        plan(chosen=TABLE[1:2])


def test_a_folder_of_an_earlier_version_says_so():
    old = {name: replace(record, fingerprint="old", settings=None) for name, record in records().items()}
    with pytest.raises(InputError, match="made by an earlier version"):
        plan(records=old)


def test_commands_follow_from_the_table():
    assert [stage.name for stage in commands()["train-classifier"]] == ["check-data", "train-classifier"]
    assert [stage.name for stage in commands()["train-segmenter"]] == ["train-segmenter", "refine-masks", "segment"]
    assert "random-walk" not in commands()


def test_what_took_hours_is_said_before_it_is_forced():
    slow = {name: replace(record, seconds=3600.0) for name, record in records().items()}
    with pytest.raises(InputError, match=r"to recompute: .* \(which took \d\.0 h\)"):
        plan(with_setting("learn", rate=2), slow)


def test_what_a_local_classifier_sees_depends_on_the_size_of_the_images():
    cam = replace(PipelineConfig(), classifier=replace(PipelineConfig().classifier, maps="cam"))
    for config, decides in ((PipelineConfig(), True), (cam, False)):
        (stage,) = (stage for stage in stages_of(config) if stage.name == "train-classifier")
        assert ("longest_side" in stage.settings) == decides


def test_with_the_maps_of_another_method_a_training_depends_on_its_network_itself():
    theirs = PipelineConfig(cams=CamConfig(from_folder="maps"))
    for config, decides in ((PipelineConfig(), False), (theirs, True)):
        trainings = [stage for stage in stages_of(config) if stage.name.startswith("train-")][1:]
        assert len(trainings) == 3
        assert all(({"network", "taps", "weights", "seed"} <= set(s.settings)) == decides for s in trainings)
