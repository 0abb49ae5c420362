"""What a user can get wrong: one clear line (what, where, how to fix it), exit code 2, nothing written."""

import json

import pytest
from PIL import Image

from affinitynet.cli import main
from tests.support.worlds import plain_folder, tiny_voc


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def no_folder(root):
    return root / "absent", ["no such folder", "absent"]


def no_tags(root):
    plain_folder(root).joinpath("tags.csv").unlink()
    return root, ["there are 2 images", "write tags.csv"]


def empty_image(root):
    (plain_folder(root) / "b.png").write_bytes(b"")
    return root, ["b.png", "not a readable image", "replace or remove"]


def text_as_image(root):
    write(plain_folder(root) / "b.png", "hello")
    return root, ["b.png", "not a readable image"]


def truncated_image(root):
    path = plain_folder(root) / "b.png"
    path.write_bytes(path.read_bytes()[:200])
    return root, ["b.png", "replace or remove"]


def half_a_jpeg(root):
    plain_folder(root, "file,tags\na.png,cat\nc.jpg,dog\n")
    Image.effect_noise((200, 150), 90).convert("RGB").save(root / "c.jpg")
    (root / "c.jpg").write_bytes((root / "c.jpg").read_bytes()[:3000])
    return root, ["c.jpg", "cannot be read", "replace or remove"]


def absent_images(root):
    return plain_folder(root, "file,tags\na.png,cat\nx.png,dog\ny.png,dog\n"), [
        "tags.csv",
        "x.png",
        ":3",
    ]


def unknown_columns(root):
    return plain_folder(root, "thing,meaning\na.png,cat\n"), [
        "tags.csv:1",
        "thing,meaning",
        "write file,tags",
    ]


def no_one_hot(root):
    return plain_folder(root, "file,cat,dog\na.png,1,0\nb.png,0,maybe\n"), ["tags.csv:3", "'dog'", "'maybe'"]


def missing_cell(root):
    return plain_folder(root, "file,cat,dog\na.png,1\n"), ["tags.csv:2", "2 cells under 3 columns"]


def contradicting_row(root):
    return plain_folder(root, "file,tags\na.png,cat\na.png,\nb.png,dog\n"), ["tags.csv:3", "already has a row"]


def no_tag_at_all(root):
    return plain_folder(root, "file,tags\na.png,\nb.png,\n"), ["tags.csv", "no image has any tag"]


def not_utf8(root):
    (plain_folder(root) / "tags.csv").write_bytes("file,tags\na.png,M\u00fcll\n".encode("utf-16")[:-1])
    return root, ["tags.csv", "UTF-8"]


def broken_json(root):
    plain_folder(root).joinpath("tags.csv").unlink()
    write(root / "tags.json", '{"a.png": "cat"')
    return root, ["tags.json", "not readable JSON"]


def json_of_another_shape(root):
    plain_folder(root).joinpath("tags.csv").unlink()
    write(root / "tags.json", json.dumps({"a.png": {"x": "cat"}}))
    return root, ["tags.json", "'a.png' is not a list of tags"]


def name_outside(root):
    return plain_folder(root, "file,tags\n../secret.png,cat\n"), ["tags.csv:2", "leads outside"]


def split_outside(root):
    write(plain_folder(root) / "splits" / "train.txt", "a.png\n/etc/passwd\n")
    return root, ["train.txt:2", "leads outside"]


def split_of_absent(root):
    write(plain_folder(root) / "splits" / "train.txt", "zzz\n")
    return root, ["train.txt:1", "'zzz'"]


def split_of_nothing(root):
    write(plain_folder(root) / "splits" / "train.txt", "")
    return root, ["split 'train': lists no image", "add some to it"]


def split_of_nothing_beside_ground_truth(root):
    write(plain_folder(root) / "splits" / "train.txt", "")
    write(root / "splits" / "val.txt", "a.png\n")
    (root / "masks").mkdir()
    Image.new("L", (40, 32), 1).save(root / "masks" / "a.png")
    return root, ["split 'train': lists no image", "add some to it"]


def mask_of_another_size(root):
    plain_folder(root)
    (root / "masks").mkdir()
    Image.new("L", (9, 9)).save(root / "masks" / "a.png")
    return root, ["masks/a.png", "9 x 9", "40 x 32"]


def mask_with_a_value_too_high(root):
    plain_folder(root)
    (root / "masks").mkdir()
    Image.new("L", (40, 32), 7).save(root / "masks" / "a.png")
    return root, ["masks/a.png", "contains value 7", "2 classes"]


def mask_in_colour(root):
    plain_folder(root)
    (root / "masks").mkdir()
    Image.new("RGB", (40, 32), (10, 20, 30)).save(root / "masks" / "a.png")
    return root, ["masks/a.png", "contains colours ((10, 20, 30))", "8-bit PNG"]


def too_many_classes(root):
    return plain_folder(root, "file,tags\na.png," + ";".join(map(str, range(300)))), ["300 classes", "254"]


def voc_list_outside(root):
    write(tiny_voc(root) / "ImageSets" / "Segmentation" / "train_aug.txt", "../../secret\n")
    return root, ["train_aug.txt:1", "leads outside"]


def voc_list_of_nothing(root):
    write(tiny_voc(root) / "ImageSets" / "Segmentation" / "train_aug.txt", "")
    return root, ["split 'train_aug': lists no image"]


def voc_absent_image(root):
    write(tiny_voc(root) / "ImageSets" / "Segmentation" / "train_aug.txt", "2007_1\n2007_9\n")
    return root, ["train_aug.txt:2", "2007_9.jpg does not exist"]


def voc_no_annotation(root):
    (tiny_voc(root) / "Annotations" / "2007_2.xml").unlink()
    return root, ["2007_2.xml", "no such annotation"]


def voc_broken_annotation(root):
    write(tiny_voc(root) / "Annotations" / "2007_2.xml", "<annotation><object>")
    return root, ["2007_2.xml", "not a readable annotation"]


def voc_entity_bomb(root):
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb">]><annotation><object><name>&b;</name></object></annotation>'
    write(tiny_voc(root) / "Annotations" / "2007_2.xml", bomb)
    return root, ["2007_2.xml", "not a readable annotation"]


def voc_unknown_class(root):
    write(tiny_voc(root) / "Annotations" / "2007_2.xml", "<a><object><name>unicorn</name></object></a>")
    return root, ["2007_1.png", "value 12", "3 classes"]


CASES = [
    value
    for value in list(globals().values())
    if getattr(value, "__module__", None) == __name__ and value.__code__.co_varnames[:1] == ("root",)
]


def run(capsys, *arguments):
    """Run the command; return its exit code and its single line."""
    code = main([*map(str, arguments)])
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    return code, lines[-1] if lines else "", captured.err


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_wrong_data_is_one_clear_line(case, tmp_path, capsys):
    data, expected = case(tmp_path / "data")
    work = tmp_path / "work"
    code, line, whole = run(capsys, "run", "--data", data, "--work", work, "--on_error", "stop")
    assert code == 2, whole
    assert line.startswith("affinitynet: ")
    assert "Traceback" not in whole
    for words in expected:
        assert words in line
    assert not list(work.rglob("*.safetensors"))
    assert not list(work.rglob("*.npz"))


def test_there_are_many_cases():
    assert len(CASES) >= 25


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--work", "w"], "--data: missing"),
        (["run", "--data", "d"], "work"),
        (["rum"], "rum"),
        (["run", "--work", "w", "--classifer.epochs", "3"], "did you mean --classifier.epochs?"),
        (["run", "--work", "w", "--walk.beta", "much"], "walk.beta"),
        (["run", "--work", "w", "--walk.beta", "-1"], "must be above 0"),
        (["run", "--work", "w", "--network", "vgg99"], "vgg99: unknown network or preset"),
        (["run", "--work", "w", "--config", "absent.yaml"], "absent.yaml"),
        (["run", "--work", "w", "--device", "tpu"], "device"),
    ],
)
def test_wrong_arguments_are_one_clear_line(arguments, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, line, whole = run(capsys, *arguments)
    assert (code, "Traceback" in whole) == (2, False)
    assert expected in line
    assert not list(tmp_path.iterdir())


def test_wrong_names_suggest_the_nearest(tmp_path, capsys):
    data = plain_folder(tmp_path / "data")
    for arguments, expected in (
        (["--classes", "cat,dig"], "did you mean 'dog'?"),
        (["--split", "al"], "did you mean 'all'?"),
    ):
        code, line, _ = run(capsys, "run", "--data", data, "--work", tmp_path / "w", *arguments)
        assert code == 2
        assert expected in line
        assert not (tmp_path / "w").exists()


def test_a_folder_of_something_else_is_no_work_folder(tmp_path, capsys):
    data = plain_folder(tmp_path / "data")
    write(tmp_path / "w" / "thesis.tex", "precious")
    code, line, _ = run(capsys, "run", "--data", data, "--work", tmp_path / "w")
    assert code == 2
    assert "not a work folder" in line
    assert [p.name for p in (tmp_path / "w").iterdir()] == ["thesis.tex"]


def test_the_command_is_quiet_when_not_a_terminal(tmp_path, capsys):
    from affinitynet.config.config_file import to_dict
    from affinitynet.pipeline.table import STAGES
    from tests.support.worlds import QUICK

    data = plain_folder(tmp_path / "data")
    (tmp_path / "quick.yaml").write_text(json.dumps(to_dict(QUICK)))
    code = main(["run", "--data", str(data), "--work", str(tmp_path / "w"), "--config", str(tmp_path / "quick.yaml")])
    captured = capsys.readouterr()
    assert code == 0
    assert "\x1b" not in captured.err + captured.out
    assert "\r" not in captured.err + captured.out
    lines = captured.err.strip().splitlines()
    assert any(line.startswith("What was understood") for line in lines)
    done = [line.split(": done after")[0] for line in lines if ": done after" in line]
    assert done == [stage.name for stage in STAGES if stage.name in done]
    assert {"train-classifier", "make-masks", "train-segmenter", "evaluate"} <= set(done)
    # A bar that is drawn anew for every image would come to hundreds of lines.
    assert len(lines) < len(done) + 40
    assert "contact sheet" in captured.out
