"""A batch: four lines are enough; a pair stands above all pairs; paths belong to the file they stand in."""

import pickle
from pathlib import Path

import pytest

from otreg.config import BatchConfig, Length, PairConfig, RegisterConfig, file_layer, load_batch
from otreg.errors import InputFileError, SettingsError


def written(folder: Path, text: str, name: str = "batch.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def problems(file: Path, **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as failure:
        load_batch(file, environment=environment)
    return [line.replace(f"{file.parent}/", "") for line in failure.value.problems]


def test_four_lines_register_a_folder_onto_a_template(tmp_path):
    file = written(tmp_path, "all: scans/*.ply\nto: template.ply\nsettings:\n  models: rigid,spline\n")
    config = load_batch(file)
    assert config.all == (f"{tmp_path}/scans/*.ply",)
    assert config.to == tmp_path / "template.ply"
    assert config.output_dir == tmp_path / "results"
    assert config.settings == RegisterConfig(models=("rigid", "spline"))
    assert config.listed_pairs() == ()


def test_settings_of_a_pair_stand_above_those_of_all_and_these_above_the_environment(tmp_path):
    text = (
        "pairs:\n  - {source: a.ply, target: b.ply, settings: {blur: 3%}}\n"
        "  - {source: c.ply, target: d.ply, name: x}\n"
        "settings: {blur: 2%, seed: 5}\n"
    )
    config = load_batch(written(tmp_path, text), environment={"OTREG_SEED": "9", "OTREG_STIFFNESS": "0.5"})
    first, second = config.listed_pairs()
    assert first.settings == RegisterConfig(blur=Length(0.03, "diagonal"), seed=5, stiffness=0.5)
    assert second.settings == config.settings == RegisterConfig(blur=Length(0.02, "diagonal"), seed=5, stiffness=0.5)
    assert (first.name, second.name) == ("a_to_b", "x")
    assert (first.where, second.where) == (f"{tmp_path}/batch.yaml:2:5", f"{tmp_path}/batch.yaml:3:5")


def test_paths_are_relative_to_the_file_they_stand_in(tmp_path, monkeypatch):
    text = (
        "pairs:\n  - source: a/x.ply\n    target: /b.ply\n    source_landmarks: x.csv\n    target_landmarks: y.csv\n"
        "    settings: {init: start.txt}\ntable: lists/pairs.csv\nall: '*.ply'\nto: t.ply\noutput_dir: ../out\n"
        "source_landmarks: l/{source}.csv\ntarget_landmarks: t.csv\nsettings: {init: none}\n"
    )
    written(tmp_path / "in [1] {x}" / "lists", "source,target,init\nc.ply,d.ply,e.txt\n", "pairs.csv")
    file = written(tmp_path / "in [1] {x}", text)
    monkeypatch.chdir(tmp_path)
    config = load_batch(Path("in [1] {x}/batch.yaml"))
    folder = Path("in [1] {x}")
    listed, row = config.listed_pairs()
    assert (listed.source, listed.target) == (folder / "a/x.ply", Path("/b.ply"))
    assert listed.landmarks == (folder / "x.csv", folder / "y.csv")
    assert listed.settings.init == "in [1] {x}/start.txt"
    assert (row.source, row.settings.init) == (folder / "lists/c.ply", "in [1] {x}/lists/e.txt")
    assert config.settings.init == "none"
    assert config.to == folder / "t.ply"
    assert config.output_dir == folder / "../out"
    assert config.source_landmarks is not None
    assert config.source_landmarks.format(source="s", target="t") == "in [1] {x}/l/s.csv"
    # A pattern finds what is there, whatever the name of the folder means to a pattern.
    (file.parent / "found.ply").touch()
    (pattern,) = config.all
    assert [str(path) for path in Path().glob(pattern)] == ["in [1] {x}/found.ply"]


def test_a_file_may_be_named_by_a_text(tmp_path):
    file = written(tmp_path, "every: x\nsettings: {blur: 3%}\n")
    assert load_batch(str(file)) == load_batch(file)
    assert file_layer(RegisterConfig, str(file)) == file_layer(RegisterConfig, file)


def test_a_batch_beside_the_current_folder_keeps_its_patterns(tmp_path, monkeypatch):
    written(tmp_path, "every: x/*.ply\nsource_landmarks: a\ntarget_landmarks: b\n")
    monkeypatch.chdir(tmp_path)
    config = load_batch(Path("batch.yaml"))
    assert (config.every, config.source_landmarks, config.output_dir) == (("x/*.ply",), "a", Path("results"))


def test_problems_of_the_file_its_table_and_the_environment_are_said_together(tmp_path):
    written(tmp_path, "source,target,blur\na,b,wide\n", "t.csv")
    file = written(tmp_path, "table: t.csv\nretries: -1\nsettings:\n  seed: x\n")
    starts = ["batch.yaml:2:10: retries", "batch.yaml:4:9: settings.seed", "t.csv:2: blur: must be a positive length"]
    found = problems(file, OTREG_BLUR="far")
    assert len(found) == 4
    for line, start in zip(found, [*starts, "OTREG_BLUR must be"], strict=True):
        assert line.startswith(start)
    file.write_text("table: t.csv\n")
    assert [line.split(":")[0] for line in problems(file)] == ["t.csv"]


def test_a_missing_table_is_a_problem_with_the_place_where_it_is_named(tmp_path):
    file = written(tmp_path, "# x\ntable: none.csv\n")
    assert problems(file) == ["batch.yaml:2:8: table: none.csv: no such file"]
    file.write_text('table: "two\\nlines.csv"\n')
    assert problems(file) == ["batch.yaml:1:8: table: two lines.csv: no such file"]
    with pytest.raises(InputFileError, match=r"no.yaml: no such file"):
        load_batch(tmp_path / "no.yaml")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4 GB", 4_000_000_000),
        ("512MiB", 536_870_912),
        ("1.5 GiB", 1_610_612_736),
        ("none", None),
        ("500000 kB", 500_000_000),
    ],
)
def test_sizes_have_a_unit(text, size):
    assert BatchConfig(every="x", memory=text).memory == size


def test_a_batch_can_be_made_in_python_and_sent_to_another_process():
    config = BatchConfig(
        pairs=[{"source": "a.ply", "target": "b.ply", "settings": {"blur": "2%"}}, PairConfig(source="c", target="d")],
        settings={"models": "affine"},
        output_dir="out",
    )
    first, second = config.listed_pairs()
    assert (first.source, first.where) == (Path("a.ply"), "")
    assert first.settings == RegisterConfig(blur=Length(0.02, "diagonal"), models=("affine",))
    assert second.settings == RegisterConfig(models=("affine",))
    assert pickle.loads(pickle.dumps(config)).listed_pairs() == (first, second)


def test_every_key_of_a_batch_and_of_a_pair_has_a_description():
    for schema in (BatchConfig, PairConfig):
        for name, field in schema.model_fields.items():
            assert field.description and field.description.endswith((".", "...")), name
            assert field.title, name
