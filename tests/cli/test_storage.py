"""Collections and work folders on object storage: the same files as on a disk, whoever is killed."""

import json
import subprocess
import sys
from contextlib import suppress

import fsspec
import pytest

from affinitynet.cli import main
from affinitynet.cli.storage import CACHE
from tests.support.worlds import snapshot, tiny_world

FLAGS = [
    f"--{network}.{setting}={value}"
    for network in ("classifier", "affinity", "segmenter")
    for setting, value in (("epochs", 1), ("min-steps", 0), ("batch-size", 2), ("crop-size", 64))
] + ["--classifier.maps=cam", "--cams.scales=[1.0]", "--walk.steps=16", "--walk.alphas=[4.0,8.0]", "--masks.alpha=8"]
PRECISE = [f"--{section}.precision=float32" for section in ("classifier", "cams", "affinity", "walk", "predict")]
SETTINGS = [*FLAGS, *PRECISE, "--segmenter.precision=float32"]
IMAGES = ("cams", "seeds", "walks", "first_masks", "masks", "segmented")


class Cloud:
    """A bucket: of this process's memory, or of a local server that speaks S3."""

    def __init__(self, scheme):
        self.storage = fsspec.filesystem(scheme)
        self.bucket = f"{scheme}://bucket"
        self.data, self.work = f"{self.bucket}/photos", f"{self.bucket}/work"

    def files(self):
        """Return what is stored below the work folder."""
        self.storage.invalidate_cache()
        found = self.storage.find(self.work) if self.storage.exists(self.work) else []
        return {path.partition("bucket/work/")[2]: self.storage.cat_file(path) for path in found}

    def run(self, *more):
        return main(["run", "--data", self.data, "--work", self.work, *SETTINGS, *more])


@pytest.fixture(scope="session")
def s3():
    moto = pytest.importorskip("moto.server", exc_type=ImportError)
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    _, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "anybody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield
    server.stop()


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.storage)])
def cloud(request, tmp_path, monkeypatch, world):
    """A bucket with a collection in it, and an empty home."""
    monkeypatch.setenv(CACHE, str(tmp_path / "home"))
    if request.param == "s3":
        request.getfixturevalue("s3")
    return filled(Cloud(request.param), world)


def filled(cloud, world):
    if cloud.storage.exists(cloud.bucket):
        cloud.storage.rm(cloud.bucket, recursive=True)
    cloud.storage.mkdir(cloud.bucket)
    cloud.storage.put(f"{world}/", f"{cloud.data}/", recursive=True)
    return cloud


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return tiny_world(tmp_path_factory.mktemp("world") / "photos")


@pytest.fixture(scope="module")
def expected(world, tmp_path_factory):
    work = tmp_path_factory.mktemp("local") / "work"
    assert main(["run", "--data", str(world), "--work", str(work), *SETTINGS]) == 0
    return of_images(snapshot(work))


def of_images(files):
    return {name: content for name, content in files.items() if name.split("/")[0] in IMAGES}


def other_machine(monkeypatch, tmp_path, name="other"):
    monkeypatch.setenv(CACHE, str(tmp_path / name))


def test_a_run_makes_the_same_files_as_on_a_disk(cloud, expected, tmp_path, monkeypatch, capsys):
    assert cloud.run() == 0
    files = cloud.files()
    assert of_images(files) == expected
    records = json.loads(files["stages.json"])
    assert all(record["finished"] for record in records.values())
    assert files[".data_url"] == f"{cloud.data}\n".encode()
    assert not any(name.endswith((".lock", ".checkpoint.safetensors")) for name in files)
    capsys.readouterr()

    other_machine(monkeypatch, tmp_path)  # goes on without being told where the collection is
    assert main(["evaluate", "--work", cloud.work]) == 0
    assert "evaluate: done before" in capsys.readouterr().err


def test_tasks_without_a_common_disk_label_what_one_run_does(cloud, expected, tmp_path, monkeypatch, capsys):
    work = ["--work", cloud.work]
    assert cloud.run() == 0
    finished = cloud.files()
    tables = {name: finished[name] for name in ("doubts.csv", "added.csv") if name in finished}
    unlabelled(cloud)
    for number in (2, 3, 1):
        other_machine(monkeypatch, tmp_path, f"machine {number}")
        assert main(["label", *work, "--shard", f"{number}/3"]) == 0
        assert not list((tmp_path / f"machine {number}").glob("work-*/cams"))  # it leaves nothing large behind
    assert of_images(cloud.files()) == expected
    capsys.readouterr()
    assert main(["label", *work, "--shard", "1/3", "--missing"]) == 0
    assert "nothing is missing" in capsys.readouterr().out
    other_machine(monkeypatch, tmp_path)
    assert not json.loads(cloud.files()["stages.json"])["make-seeds"]["finished"]
    assert main(["label", *work]) == 0
    assert json.loads(cloud.files()["stages.json"])["make-seeds"]["finished"]
    assert cloud.run() == 0
    files = cloud.files()
    assert of_images(files) == expected
    assert {name: files[name] for name in tables} == tables
    assert not any(name.startswith("tasks/") for name in files)
    assert all(record["finished"] for record in json.loads(files["stages.json"]).values())


def unlabelled(cloud):
    """Take from the storage what was labelled, as if only the networks had been trained."""
    labelled = ("make-cams", "make-seeds", "random-walk", "make-masks", "refine-masks", "segment", "evaluate")
    files = cloud.files()
    records = {stage: record for stage, record in json.loads(files["stages.json"]).items() if stage not in labelled}
    cloud.storage.pipe_file(f"{cloud.work}/stages.json", json.dumps(records).encode())
    for name in files:
        if name.split("/")[0] in IMAGES or name.endswith(".csv"):
            cloud.storage.rm_file(f"{cloud.work}/{name}")


@pytest.mark.storage
@pytest.mark.parametrize("seconds", [6, 9, 12])
def test_another_machine_goes_on_where_one_was_killed(s3, expected, tmp_path, monkeypatch, world, seconds):
    monkeypatch.setenv(CACHE, str(tmp_path / "killed"))
    cloud = filled(Cloud("s3"), world)
    arguments = ["run", "--data", cloud.data, "--work", cloud.work, *SETTINGS]
    script = f"""
import affinitynet.cli, affinitynet.work.storage
affinitynet.work.storage.EVERY = 0.2
affinitynet.cli.main({arguments})
"""
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.wait()
    other_machine(monkeypatch, tmp_path)
    assert cloud.run() == 0
    assert of_images(cloud.files()) == expected


def test_an_address_elsewhere_is_refused(cloud, capsys):
    assert main(["predict", cloud.data, "--out", "there"]) == 2
    assert "only --data and --work of a collection may lie on storage" in capsys.readouterr().err


def test_one_address_for_both_and_a_demo_are_refused(cloud, capsys):
    assert main(["run", "--data", cloud.data, "--work", f"{cloud.data}/"]) == 2
    assert "is the collection; name another folder" in capsys.readouterr().err
    assert main(["demo", "--work", cloud.work]) == 2
    assert "use a folder here" in capsys.readouterr().err


def test_a_wrong_flag_is_said_before_anything_is_fetched(cloud, tmp_path, capsys):
    assert cloud.run("--wlak.beta", "3") == 2
    assert "did you mean" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_processes_of_torchrun_are_told_what_to_do(cloud, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cloud.run() == 2
    assert "affinitynet label --shard" in capsys.readouterr().err
    assert main(["label", "--work", cloud.work, "--shard", "1/2"]) == 2
    assert "was not begun" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["nowhere://bucket/photos", "memory://bucket/empty", "s3://no-such-bucket/photos"])
def test_wrong_addresses_are_named_in_a_line(cloud, url, capsys):
    assert main(["run", "--data", url, "--work", cloud.work]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "copied" not in line and "worked" not in line]
    assert url in line
