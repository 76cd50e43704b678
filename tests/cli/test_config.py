"""Settings from files and the environment, as users give them, and the commands that show and write them."""

import pytest
from ruamel.yaml import YAML

from otreg_cli.config import command as config_command
from otreg_cli.register import command as register

from .records import checked

FAST = ("--blur", "6%", "--init", "none")


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch):
    for name in ("BLUR", "SEED", "REACH", "BLURR"):
        monkeypatch.delenv(f"OTREG_{name}", raising=False)


def test_every_problem_of_every_source_is_a_line_of_its_own(otreg_here, tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("blurr: 1%\niterations: many\n")
    monkeypatch.setenv("OTREG_SEED", "x")
    answer = otreg_here("register", "a", "b", "--config", "a.yaml", "--reach", "far", cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    lines = answer.stderr.splitlines()
    starts = [
        "OTREG_SEED must be",
        "a.yaml:1:1: blurr: unknown setting; did you mean 'blur'?",
        "a.yaml:2:13: iterations: must",
    ]
    assert len(lines) == 4
    for line, start in zip(lines, [*starts, "--reach must be"], strict=True):
        assert line.startswith(f"otreg: error: {start}")


def test_a_wrong_batch_file_says_everything_before_anything_is_planned(otreg_here, tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("source,target,seed\na.ply,b.ply,x\n")
    (tmp_path / "b.yaml").write_text("table: t.csv\nworker: 2\nsettings: !!python/name:os.system {blur: x}\n")
    monkeypatch.setenv("OTREG_REACH", "far")
    answer = otreg_here("batch", "b.yaml", "--dry-run", cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    starts = [line.removeprefix("otreg: error: ").split(" must ")[0] for line in answer.stderr.splitlines()]
    assert starts == [
        "b.yaml:2:1: worker: unknown setting; did you mean 'workers'?",
        "b.yaml:3:11:",
        "b.yaml:3:42: settings.blur:",
        "t.csv:2: seed:",
        "OTREG_REACH",
    ]


@pytest.mark.parametrize("command", [["register"], ["distance"], ["map", "-o", "m.npz"]])
def test_a_missing_file_of_settings_is_one_line_and_exit_code_3(otreg_here, tmp_path, command):
    answer = otreg_here(*command, "a", "b", "--config", "no.yaml", cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (3, "otreg: error: no.yaml: no such file\n")


def test_flags_win_over_the_file_and_the_file_over_the_environment(otreg_here, pair, tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("blur: 7%\nseed: 3\ninit: none\n")
    for name, text in {"BLUR": "9%", "SEED": "4", "ITERATIONS": "2", "CONTROL_POINTS": "77"}.items():
        monkeypatch.setenv(f"OTREG_{name}", text)
    answer = otreg_here("register", *pair, "-d", "out", "--config", "a.yaml", "--blur", "8%", "--json", cwd=tmp_path)
    settings = checked(answer.stdout)["settings"]
    found = {name: settings[name] for name in ("blur", "seed", "init", "iterations", "control_points")}
    assert found == {"blur": "8%", "seed": 3, "init": "none", "iterations": 2, "control_points": 77}


def test_distance_and_map_take_their_settings_from_a_file(otreg_here, pair, tmp_path):
    (tmp_path / "a.yaml").write_text("blur: 10%\nreach: none,20%\nsampling: faces\n")
    record = checked(otreg_here("distance", *pair, "--config", tmp_path / "a.yaml", "--json").stdout)
    assert (record["settings"]["reach"], record["settings"]["sampling"]) == ("none,20%", "faces")
    (tmp_path / "b.yaml").write_text("blur: 10%\ngrid: 3\n")
    answer = otreg_here("map", *pair, "-o", tmp_path / "m.npz", "--config", tmp_path / "b.yaml", "--json")
    assert checked(answer.stdout)["grid"]["counts"][0] == 3
    answer = otreg_here("distance", *pair, "--config", tmp_path / "b.yaml")
    assert (
        answer.stderr == f"otreg: error: {tmp_path}/b.yaml:2:1: grid: unknown setting; map has it, distance does not\n"
    )


def test_a_variable_that_is_no_setting_is_a_warning(otreg_here, pair, tmp_path, monkeypatch):
    monkeypatch.setenv("OTREG_BLURR", "1%")
    warning = "otreg: warning: the variable OTREG_BLURR is no setting; did you mean OTREG_BLUR?\n"
    arguments = ("distance", *pair, "--blur", "10%")
    assert otreg_here(*arguments).stderr == warning
    answer = otreg_here("register", *pair, "-d", tmp_path / "out", *FAST)
    assert (answer.returncode, answer.stderr) == (0, warning)
    assert otreg_here("register", *pair, "-d", tmp_path / "out", "--overwrite", "-q", *FAST).stderr == ""


def test_saved_settings_repeat_the_run(otreg_here, pair, tmp_path):
    saved = tmp_path / "deep" / "saved.yaml"
    flags = ("-m", "rigid,spline", "--control-points", "20", "--reach", "none", "--sampling", "150", "--seed", "5")
    first = otreg_here("register", *pair, "-d", "one", "--save-config", saved, *flags, *FAST, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert saved.read_text().startswith("# Settings of: otreg register ")
    second = otreg_here("register", *pair, "-d", "two", "--config", saved, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    moved = [(tmp_path / folder / "registered.ply").read_bytes() for folder in ("one", "two")]
    assert moved[0] == moved[1]


def test_saved_settings_are_yaml_for_other_programs(otreg_here, pair, tmp_path):
    otreg_here("register", *pair, "-d", tmp_path / "out", "--save-config", tmp_path / "s.yaml", *FAST)
    loaded = YAML(typ="safe", pure=True).load(tmp_path / "s.yaml")
    assert (loaded["blur"], loaded["init"], loaded["tolerance"]) == ("6%", "none", 1e-4)


def test_saved_settings_replace_nothing_and_stop_before_the_work(otreg_here, pair, tmp_path):
    (tmp_path / "s.yaml").write_text("mine\n")
    arguments = ("register", *pair, "-d", tmp_path / "out", "--save-config", tmp_path / "s.yaml", *FAST)
    answer = otreg_here(*arguments)
    assert answer.returncode == 3
    assert "s.yaml: exists already" in answer.stderr
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "s.yaml").read_text() == "mine\n"
    assert otreg_here(*arguments, "--overwrite").returncode == 0
    assert "blur: 6%" in (tmp_path / "s.yaml").read_text()


def test_saved_settings_need_a_name(otreg_here, pair, tmp_path):
    answer = otreg_here("register", *pair, "--save-config", "-", cwd=tmp_path)
    assert answer.returncode == 2
    assert "--save-config needs the name of a file" in answer.stderr
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".ply"] == []


def test_show_prints_each_setting_with_its_origin(otreg_here, tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("settings:\n  reach: none\nall: x\nto: y\n")
    monkeypatch.setenv("OTREG_SEED", "4")
    answer = otreg_here("config", "show", "-m", "rigid,spline", "--config", "a.yaml", cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in answer.stdout.splitlines()}
    assert " ".join(rows["models"].split()) == "[rigid, spline] flag --model"
    assert rows["reach"].split() == ["none", "file", "a.yaml:2:10"]
    assert rows["seed"].split() == ["4", "environment", "OTREG_SEED"]
    assert rows["blur"].split() == ["1%", "default"]


def test_show_as_json_is_as_documented(otreg_here, tmp_path):
    record = checked(otreg_here("config", "show", "--command", "map", "--json", "--grid", "5").stdout)
    assert record["command"] == "map"
    assert record["settings"]["grid"] == {"value": 5, "origin": "flag", "place": "--grid"}
    assert record["settings"]["reach"] == {"value": None, "origin": "default", "place": ""}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--gridd", "5"], "No such option '--gridd'"),
        (["file.ply"], "unexpected extra argument"),
        (["--command", "apply"], "'apply' is not one of"),
        (["--device", "tpu"], "'tpu' is not one of"),
        (["--grid", "5"], "No such option '--grid'"),
        (["--blur", "x"], "--blur must be a positive length"),
    ],
)
def test_show_refuses_what_the_command_would_refuse(otreg_here, arguments, part):
    answer = otreg_here("config", "show", *arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.count("\n") == 1
    assert part in answer.stderr


@pytest.mark.parametrize("kind", ["register", "distance", "map"])
def test_a_template_is_written_once_and_means_the_defaults(otreg_here, tmp_path, kind):
    printed = otreg_here("config", "init", "--for", kind)
    assert otreg_here("config", "init", "-", "--for", kind).stdout == printed.stdout
    written = otreg_here("config", "init", "a.yaml", "--for", kind, cwd=tmp_path)
    assert (written.returncode, written.stdout) == (0, "")
    assert (tmp_path / "a.yaml").read_text() == printed.stdout
    shown = checked(
        otreg_here("config", "show", "--command", kind, "--config", "a.yaml", "--json", cwd=tmp_path).stdout
    )
    assert {setting["origin"] for setting in shown["settings"].values()} == {"default"}
    again = otreg_here("config", "init", "a.yaml", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (
        3,
        "otreg: error: a.yaml: exists already; pass --overwrite to replace it\n",
    )
    assert otreg_here("config", "init", "a.yaml", "--overwrite", cwd=tmp_path).returncode == 0


def test_the_installed_command_reads_variables_and_files(otreg, tmp_path):
    import os

    (tmp_path / "a.yaml").write_text("reach: none\n")
    answer = otreg("config", "show", "--config", "a.yaml", cwd=tmp_path, env={**os.environ, "OTREG_BLUR": "3%"})
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[0].split() == ["blur", "3%", "environment", "OTREG_BLUR"]


def test_the_commands_are_described(otreg_here):
    assert {"show", "init"} == set(config_command.commands)
    text = otreg_here("config", "--help").stdout
    assert "Show each setting" in text and "Write a template" in text
    assert {"--config", "--save-config"} <= {name for option in register.params for name in option.opts}
