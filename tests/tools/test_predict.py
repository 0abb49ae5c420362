"""What ``predict`` takes and says: lists, folders that grow, its own output, and what it did not look at."""

import _thread
import io
import json
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from affinitynet.cli import main
from affinitynet.errors import InputError, Problems
from affinitynet.files import save_weights
from affinitynet.models.segmenter import Segmenter
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.predict import _Run, predict_images
from affinitynet.tools.sources import find_images
from tests.support.deep import tiff


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A segmentation network with random weights."""
    return saved_network(tmp_path_factory.mktemp("model"))


def saved_network(folder: Path) -> Path:
    path = folder / "segmenter.safetensors"
    network = Segmenter("LargeFOV", "lite", ["cat", "dog"])
    save_weights(path, network.state_dict(), network.settings)
    return path


def picture(path: Path, form: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 16), (90, 120, 60)).save(path, form)
    return path


def masks(out: Path) -> set[str]:
    return {path.relative_to(out / "masks").as_posix() for path in (out / "masks").rglob("*.png")}


def test_it_says_how_fast_it_was_and_what_it_did_not_look_at(model, tmp_path, capsys):
    new = tmp_path / "new"
    for name, form in (("1.jpg", None), ("2.jfif", "JPEG"), ("sub/3", "PNG"), (".hidden.png", None)):
        picture(new / name, form)
    (new / "notes.txt").write_text("hello")
    (new / "scan.nef").write_bytes(b"MM\0*" + bytes(50))
    out = new / "labelled"
    command = ["predict", str(new), "-o", str(out), "--model", str(model), "--workers", "1", "--overlays"]
    assert main(command) == 3  # somebody may have wanted the raw photograph to be labelled
    said = capsys.readouterr()
    assert masks(out) == {"1.png", "2.png", "sub/3.png"}
    assert "3 images labelled (" in said.out
    assert " a second): " in said.out
    assert "not looked at: 1 file is not an image (.txt); 1 hidden or left behind by the system" in said.out
    assert "scan.nef: camera raw: export them as JPEG or TIFF" in said.err
    (new / "scan.nef").unlink()
    assert main(command) == 0  # its own output is not labelled again
    assert "0 images labelled: " in capsys.readouterr().out
    shutil.move(out, new / "earlier")
    assert main([*command[:3], str(tmp_path / "out"), *command[4:]]) == 0
    assert masks(tmp_path / "out") == {"1.png", "2.png", "sub/3.png"}


@pytest.fixture
def predict(model, tmp_path):
    """Labels two photographs in ``new`` into ``out``."""
    for name in ("1.jpg", "sub/2.jpg"):
        picture(tmp_path / "new" / name)

    def run(*flags: str, model: Path = model) -> int:
        folders = [str(tmp_path / "new"), "--out", str(tmp_path / "out")]
        return main(["predict", *folders, "--model", str(model), "--workers", "1", *flags])

    return run


def test_masks_of_another_network_are_not_passed_off_as_its_own(predict, tmp_path, capsys):
    assert predict() == 0
    note = (tmp_path / "out" / "affinitynet.json").read_bytes()
    (tmp_path / "out" / "masks" / "1.png").unlink()
    capsys.readouterr()
    assert predict(model=saved_network(tmp_path)) == 2
    said = capsys.readouterr().err
    assert said == (
        f"affinitynet: --out {tmp_path / 'out'}: has masks that another network made; "
        "name another folder, or delete this one\n"
    )
    assert masks(tmp_path / "out") == {"sub/2.png"}
    assert (tmp_path / "out" / "affinitynet.json").read_bytes() == note
    assert predict() == 0  # the same command still continues
    assert "1 images labelled" in capsys.readouterr().out
    assert masks(tmp_path / "out") == {"1.png", "sub/2.png"}


def test_masks_of_other_settings_are_refused_with_the_settings(predict, tmp_path, capsys):
    (tmp_path / "work").mkdir()
    saved_network(tmp_path / "work")
    config = tmp_path / "work" / "config.yaml"
    config.write_text("predict: {crf: true}")
    assert predict(model=tmp_path / "work") == 0
    config.write_text("predict: {crf: false}")
    assert predict(model=tmp_path / "work") == 2
    assert "has masks that other settings (predict.crf: True -> False) made" in capsys.readouterr().err


def test_a_run_that_made_no_mask_leaves_the_folder_to_another_network(predict, tmp_path):
    assert predict() == 0
    shutil.rmtree(tmp_path / "out" / "masks")
    assert predict(model=saved_network(tmp_path)) == 0
    assert predict() == 2


@pytest.mark.parametrize("note", [None, '{"command": "predict", "model": "old"}'])
def test_a_folder_of_an_older_version_continues(predict, tmp_path, note, capsys):
    assert predict() == 0
    file = tmp_path / "out" / "affinitynet.json"
    file.unlink()
    if note is not None:
        file.write_text(note)
    (tmp_path / "out" / "masks" / "1.png").unlink()
    other = saved_network(tmp_path)
    for labelled in (1, 0):
        capsys.readouterr()
        assert predict(model=other) == 0
        assert f"{labelled} images labelled" in capsys.readouterr().out
    assert json.loads(file.read_text()) == {"command": "predict", "model": str(other)}  # who made the rest is not known


def test_what_is_asked_for_later_is_added(predict, tmp_path, capsys):
    assert predict() == 0
    for flag, files in (("--overlays", "overlays/*.jpg"), ("--scores", "scores/*.npz")):
        folder, pattern = (tmp_path / "out" / files).parent, Path(files).name
        for labelled in (2, 0):
            capsys.readouterr()
            assert predict(flag) == 0
            assert f"{labelled} images labelled" in capsys.readouterr().out
            assert len(list(folder.rglob(pattern))) == 2


def test_values_of_more_than_8_bits_are_said_where_the_network_has_seen_none(model, tmp_path, capsys):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.tif").write_bytes(tiff(np.arange(384, dtype=np.uint16).reshape(16, 24)))
    picture(tmp_path / "new" / "b.png")
    assert main(["predict", str(tmp_path / "new"), "-o", str(tmp_path / "out"), "--model", str(model)]) == 0
    assert "\nimages of more than 8 bits, each by its own range of values" in capsys.readouterr().out


def test_a_list_names_files_and_folders(model, tmp_path, monkeypatch):
    for name in ("a/1.png", "b/1.png", "c/2.png", "c/ 3.png"):
        picture(tmp_path / name)
    monkeypatch.chdir(tmp_path / "c")
    (tmp_path / "list.txt").write_text(f"\ufeff{tmp_path / 'a' / '1.png'}\r\nb/1.png\n\n2.png\n 3.png\n")
    expected = {"a/1": "a/1.png", "b/1": "b/1.png", "c/2": "c/2.png", "c/ 3": "c/ 3.png"}
    found = {name: path.resolve() for name, path in find_images([tmp_path / "list.txt"]).images.items()}
    assert found == {name: (tmp_path / path).resolve() for name, path in expected.items()}
    done = predict_images([tmp_path / "list.txt"], tmp_path / "out", model, runtime=Runtime(workers=1))
    assert done.labelled == 4
    assert masks(tmp_path / "out") == {f"{name}.png" for name in expected}


def test_a_list_comes_from_standard_input_too(tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    picture(tmp_path / "folder" / "b.png")
    for content in (f"{tmp_path}/a.png\n{tmp_path}/folder\n", f"{tmp_path}/a.png\0{tmp_path}/folder\0"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        assert set(find_images([Path("-")]).images) == {"a", "b"}


def test_what_a_list_names_in_vain_is_skipped_and_named(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png\nabsent.png\n")
    problems = Problems("skip")
    assert set(find_images([tmp_path / "list.txt"], problems=problems).images) == {"a"}
    assert "list.txt:2: no such file 'absent.png'" in problems.found[0].reason
    with pytest.raises(InputError, match="absent"):
        find_images([tmp_path / "list.txt"])


def test_files_are_called_by_their_names_or_where_these_clash_by_their_folders(tmp_path):
    for name in ("x/1.png", "y/1.png", "y/2.png"):
        picture(tmp_path / name)
    assert set(find_images([tmp_path / "x/1.png", tmp_path / "y/2.png"]).images) == {"1", "2"}
    assert set(find_images([tmp_path / "x/1.png", tmp_path / "y/1.png"]).images) == {"x/1", "y/1"}
    assert set(find_images([tmp_path / "x/1.png", tmp_path / "x/1.png"]).images) == {"1"}


def test_a_folder_without_an_image_says_what_it_holds(tmp_path):
    (tmp_path / "a.nef").write_bytes(b"")
    (tmp_path / "b.txt").write_text("")
    with pytest.raises(
        InputError, match=r"no image to label \(1 file is not read; camera raw.*; 1 file is not an image"
    ):
        find_images([tmp_path])


def test_a_folder_is_followed_as_it_grows_until_ctrl_c(model, tmp_path, monkeypatch):
    monkeypatch.setattr("affinitynet.tools.predict.POLL", 0.05)
    new, out = tmp_path / "new", tmp_path / "out"
    picture(new / "first.png")
    whole = picture(tmp_path / "whole.png").read_bytes()
    seen_half = []

    def add() -> None:
        wait_for(out / "masks" / "first.png")
        picture(new / "sub" / "second.jpg")
        with (new / "third.png").open("wb") as file:
            file.write(whole[:60])
            file.flush()
            for byte in whole[60:]:  # it grows slowly, and is not complete before it stops
                file.write(bytes([byte]))
                file.flush()
                time.sleep(0.01)
        seen_half.append((out / "masks" / "third.png").exists())
        (new / "torn.png").write_bytes(b"not a picture")
        wait_for(out / "masks" / "sub" / "second.png")
        wait_for(out / "masks" / "third.png")
        time.sleep(0.5)

    def add_and_stop() -> None:
        try:
            add()
        finally:  # whatever happens, the test must end
            _thread.interrupt_main()

    thread = threading.Thread(target=add_and_stop)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process of pytest-xdist ignores it
    try:
        thread.start()
        done = predict_images([new], out, model, watch=True, runtime=Runtime(workers=1))
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert masks(out) == {"first.png", "sub/second.png", "third.png"}
    assert done.labelled == 3
    assert seen_half == [False]
    assert [left.name for left in done.left_out] == ["torn"]


def wait_for(path: Path) -> None:
    end = time.monotonic() + 20
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)


def test_ctrl_c_amid_images_that_were_added_counts_those_that_are_done(model, tmp_path, monkeypatch):
    (tmp_path / "new").mkdir()
    added = {name: picture(tmp_path / "added" / f"{name}.png") for name in ("1", "2", "3", "4")}
    write = _Run._write

    def interrupted(run, name, image):
        time.sleep(0.05)
        if name != "1":
            raise KeyboardInterrupt
        write(run, name, image)

    monkeypatch.setattr(_Run, "_write", interrupted)
    monkeypatch.setattr("affinitynet.tools.predict._added", lambda *_: iter([added]))
    done = predict_images([tmp_path / "new"], tmp_path / "out", model, watch=True, runtime=Runtime(workers=1))
    assert masks(tmp_path / "out") == {"1.png"}
    assert done.labelled == 1
    assert done.seconds >= 0.1


def test_only_a_folder_can_be_watched(model, tmp_path):
    with pytest.raises(InputError, match="none of the sources is a folder"):
        predict_images([picture(tmp_path / "a.png")], tmp_path / "out", model, watch=True)
