"""The training loop: the original's schedule, and interrupted = never interrupted."""

import csv
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from affinitynet.config.presets import PRESETS
from affinitynet.config.trainings import TrainConfig
from affinitynet.errors import InputError
from affinitynet.files import save_weights
from affinitynet.models.parameter_groups import parameter_groups
from affinitynet.records import TaggedImage
from affinitynet.runtime.parallel import for_each_image
from affinitynet.runtime.progress import Progress
from affinitynet.runtime.runtime import Runtime
from affinitynet.training.checkpoint import TrainingFiles
from affinitynet.training.loop import fit
from affinitynet.training.samples import RandomSamples, ShuffledSteps, stack_samples
from tests.support.places import GOLDEN


class Toy(nn.Module):
    """A network small enough to follow by hand: a pretrained layer, dropout and a new layer."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.old = nn.Conv2d(2, 3, 1)
            self.new = nn.Conv2d(3, 1, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.new(self.dropout(torch.tanh(self.old(x))))

    def parameter_groups(self):
        return parameter_groups(self, self.new)


@dataclass(frozen=True)
class Samples:
    """Images to train on: a function that makes them, and their names."""

    make: Callable[[int], tuple[torch.Tensor, ...]]
    names: list[str]

    def __call__(self, index):
        return self.make(index)


RUNTIME = Runtime("cpu", workers=1)
CONFIG = TrainConfig(epochs=3, batch_size=4, crop_size=32, learning_rate=0.05, precision="float32")


NAMES = [f"image {i}" for i in range(10)]


def sample(index):
    return (torch.rand(2, 1, 1) + index,)


def mean_square(model, batch, mean_count):
    return model(batch[0]).square().mean()


def train(folder, make=sample, loss=mean_square, config=CONFIG):
    model = Toy()
    files = TrainingFiles("toy", folder / "c.safetensors", folder / "losses.csv")
    fit(model, Samples(make, NAMES), loss, config, files, RUNTIME, seed=1)
    return model


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_interrupted_and_continued_equals_never_interrupted(tmp_path, monkeypatch, optimizer):
    monkeypatch.setattr("affinitynet.training.loop.CHECKPOINT_STEPS", 2)
    config = replace(CONFIG, optimizer=optimizer, warm_up=3)
    whole = train(tmp_path / "whole", config=config)
    calls = []

    def interrupted(model, batch, mean_count):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return mean_square(model, batch, mean_count)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", loss=interrupted, config=config)
    assert (tmp_path / "parts" / "c.safetensors").exists()
    continued = train(tmp_path / "parts", config=config)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, continued.state_dict()[key]), key
    losses = [(tmp_path / part / "losses.csv").read_text() for part in ("whole", "parts")]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("workers", [1, 2])
def test_loaders_leave_order_and_samples_as_they_are(tmp_path, workers):
    steps, seen = ShuffledSteps(len(NAMES), CONFIG, seed=1, first_step=0), []

    def looked_at(model, batch, mean_count):
        seen.append(batch[0])
        return mean_square(model, batch, mean_count)

    samples = Samples(sample, NAMES)
    files = TrainingFiles("toy", tmp_path / "c.safetensors", tmp_path / "losses.csv")
    fit(Toy(), samples, looked_at, CONFIG, files, Runtime("cpu", workers=workers), seed=1)
    here = RandomSamples(samples, seed=1)
    expected = [stack_samples([here[key] for key in keys]) for keys in steps]
    assert len(seen) == len(expected) == 6
    for found, batch in zip(seen, expected, strict=True):
        assert not isinstance(batch, InputError)
        assert torch.equal(found, batch[0])


def test_killed_after_its_last_step_and_continued_equals_never_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr("affinitynet.training.loop.CHECKPOINT_STEPS", 2)
    whole = train(tmp_path)  # its checkpoint stays until the stage has saved the result
    again = train(tmp_path)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def test_the_schedule_is_poly_and_groups_have_their_factors(tmp_path):
    rates = []

    def spy(model, batch, mean_count):
        return mean_square(model, batch, mean_count)

    step = torch.optim.SGD.step

    def recording_step(self, *args, **kwargs):
        rates.append([group["lr"] for group in self.param_groups])
        return step(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", recording_step)
        train(tmp_path, loss=spy)
    expected = [[0.05 * (1 - i / 6) ** 0.9 * factor for factor in (1, 2, 10, 20)] for i in range(6)]
    torch.testing.assert_close(torch.tensor(rates), torch.tensor(expected))
    with (tmp_path / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [0, 0, 1, 1, 2, 2]


class Released(nn.Linear):
    """The tiny problem on which the released code's optimiser was recorded: y = tanh(x w^T + b)."""

    def parameter_groups(self):
        return [
            {"params": [self.weight], "factor": 1, "decays": True},
            {"params": [self.bias], "factor": 2, "decays": False},
        ]

    def forward(self, x):
        return torch.tanh(super().forward(x))


def test_six_steps_of_the_released_optimiser(tmp_path):
    golden = np.load(GOLDEN / "optimizer.npz")
    model = Released(4, 3)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(golden["initial_weight"]))
        model.bias.copy_(torch.from_numpy(golden["initial_bias"]))
    losses, norms = [], []

    def loss(model, batch, mean_count):
        value = ((model(batch[0]) - 0.3) ** 2).mean()
        losses.append(value.item())
        norms.append([model.weight.norm().item(), model.bias.norm().item()])
        if len(losses) == 7:
            raise KeyboardInterrupt  # the recording ends after six of the schedule's eight steps
        return value

    # The paper's presets carry these numbers: the weight decay is the momentum as well.
    paper = PRESETS["resnet38"].classifier
    config = TrainConfig(
        epochs=8,
        batch_size=5,
        learning_rate=paper.learning_rate,
        weight_decay=paper.weight_decay,
        momentum=paper.momentum,
        precision="float32",
    )
    inputs = torch.from_numpy(golden["inputs"])
    samples = Samples(lambda index: (inputs[index],), [f"input {i}" for i in range(len(inputs))])
    files = TrainingFiles("released", tmp_path / "c.safetensors", tmp_path / "losses.csv")
    with pytest.raises(KeyboardInterrupt):
        fit(model, samples, loss, config, files, RUNTIME, seed=0)
    np.testing.assert_allclose(losses[:6], golden["trajectory"][:, 0], rtol=1e-6)
    np.testing.assert_allclose(norms[1:], golden["trajectory"][:, 3:], rtol=1e-6)
    np.testing.assert_allclose(model.weight.detach(), golden["final_weight"], atol=1e-6)
    np.testing.assert_allclose(model.bias.detach(), golden["final_bias"], atol=1e-6)


def test_adamw_and_its_warm_up_are_those_of_the_formulas(tmp_path):
    config = replace(CONFIG, optimizer="adamw", learning_rate=0.01, weight_decay=0.2, warm_up=2)
    start = np.linspace(-1, 1, 6).reshape(2, 3)
    model = Released(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(start))
        model.bias.zero_()
    samples = Samples(lambda index: (torch.linspace(0, 1, 3) * (index + 1),), NAMES)
    files = TrainingFiles("adamw", tmp_path / "c.safetensors", tmp_path / "losses.csv")
    gradients: list[np.ndarray] = []
    steps = 6

    def loss(model, batch, mean_count):
        gradients.clear()
        return ((model(batch[0]) - 0.3) ** 2).sum()

    model.weight.register_hook(lambda gradient: gradients.append(gradient.double().numpy().copy()))
    seen = []
    step = torch.optim.AdamW.step

    def recording_step(self, *args, **kwargs):
        seen.append(gradients[-1])
        return step(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", recording_step)
        fit(model, samples, loss, config, files, RUNTIME, seed=0)
    weight, first, second = start, np.zeros((2, 3)), np.zeros((2, 3))
    for number, gradient in enumerate(seen):
        rate = 0.01 * min(1, (number + 1) / 3) * (1 - number / steps) ** 0.9
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        unbiased = first / (1 - 0.9 ** (number + 1)), second / (1 - 0.999 ** (number + 1))
        weight = weight * (1 - rate * 0.2) - rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    assert len(seen) == steps
    np.testing.assert_allclose(model.weight.detach(), weight, atol=1e-6)


def test_an_unfinished_training_of_an_earlier_version_is_refused_in_one_line(tmp_path):
    save_weights(
        tmp_path / "c.safetensors", {"model.old.weight": torch.ones(1), "momentum.0": torch.ones(1)}, {"rows": []}
    )
    with pytest.raises(InputError, match=r"earlier version.*delete it to start this training again"):
        train(tmp_path)


def test_a_loss_that_is_no_number_stops_and_names_its_images(tmp_path, monkeypatch):
    monkeypatch.setattr("affinitynet.training.loop.CHECKPOINT_STEPS", 2)
    seen = []

    def poisoned(model, batch, mean_count):
        seen.append(batch[0][:, 0, 0, 0].floor().int().tolist())
        return mean_square(model, batch, mean_count) * (float("nan") if len(seen) == 4 else 1)

    with pytest.raises(InputError, match="lower learning_rate") as raised:
        train(tmp_path, loss=poisoned)
    message = str(raised.value)
    assert "toy: the loss became nan at step 3 of" in message
    assert all(f"image {i}" in message for i in seen[3])
    assert len(list(csv.DictReader((tmp_path / "losses.csv").open()))) == 2  # of the checkpoint that is kept
    assert (tmp_path / "c.safetensors").exists()


def test_a_weight_that_is_no_number_is_never_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("affinitynet.training.loop.CHECKPOINT_STEPS", 1)

    def steep(model, batch, mean_count):
        value = mean_square(model, batch, mean_count)
        return value + sum(
            (p.sum() - p.detach().sum()).sqrt() for p in model.parameters() if p.requires_grad
        )  # 0, and its slope is infinite

    with pytest.raises(InputError, match="no longer finite numbers"):
        train(tmp_path, loss=steep)
    assert not (tmp_path / "c.safetensors").exists()


def test_training_leaves_the_callers_random_numbers_alone(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    train(tmp_path)
    assert torch.equal(torch.rand(2), expected)


def test_a_sample_depends_on_seed_epoch_and_index_alone():
    def drawn(seed, epoch, index):
        made = RandomSamples(Samples(sample, NAMES), seed)[epoch, index]
        assert not isinstance(made, InputError)
        return made[0]

    first = drawn(1, 0, 3).clone()
    torch.rand(5)
    assert torch.equal(drawn(1, 0, 3), first)
    assert not torch.equal(drawn(1, 1, 3), first)
    assert not torch.equal(drawn(2, 0, 3), first)


def test_every_epoch_sees_an_image_at_most_once_in_a_new_order():
    batches = list(ShuffledSteps(10, CONFIG, seed=0, first_step=0))
    epochs = [[i for batch in batches for e, i in batch if e == epoch] for epoch in range(3)]
    assert all(len(set(order)) == 8 for order in epochs)
    assert epochs[0] != epochs[1]
    assert list(ShuffledSteps(10, CONFIG, seed=0, first_step=3)) == batches[3:]


def test_a_small_collection_is_passed_over_more_often():
    few = ShuffledSteps(10, replace(CONFIG, min_steps=9), seed=0, first_step=0)
    assert len(list(few)) == few.total == 10
    assert ShuffledSteps(100, replace(CONFIG, min_steps=9), seed=0, first_step=0).total == 75


def test_fewer_images_than_a_batch_still_train():
    assert len(list(ShuffledSteps(3, CONFIG, seed=0, first_step=0))) == 3


def test_the_first_error_of_a_loop_is_raised_and_ends_it():
    seen = []

    def work(item):
        seen.append(item)
        if item == 3:
            raise InputError("broken")

    with pytest.raises(InputError, match="broken"):
        for_each_image(work, range(100), total=100, workers=2, progress=Progress(), label="")
    assert len(seen) < 100
    assert torch.get_num_threads() >= 1


def test_samples_can_be_sent_to_another_process(tmp_path):
    """Loaders fork on some systems only; elsewhere samples are pickled."""
    from affinitynet.config.trainings import AffinityConfig, ClassifierConfig
    from affinitynet.pipeline.seed_samples import SeedSamples
    from affinitynet.pipeline.stages.train_classifier import ClassifierSamples
    from affinitynet.work.folder import WorkFolder

    record = TaggedImage("a", tmp_path / "a.png", (1,))
    for samples in (
        ClassifierSamples((record,), 3, ClassifierConfig(), (0.5,), (0.5,)),
        SeedSamples((record,), WorkFolder(tmp_path), None, AffinityConfig(), 8, (0.5,), (0.5,)),
    ):
        assert pickle.loads(pickle.dumps(samples)).records == (record,)


def test_an_error_in_a_sample_arrives_as_one_line(tmp_path):
    def broken(index):
        raise InputError(f"image {index}: cannot be read")

    with pytest.raises(InputError) as error:
        train(tmp_path, make=broken)
    assert "\n" not in str(error.value)
    assert "Traceback" not in str(error.value)
