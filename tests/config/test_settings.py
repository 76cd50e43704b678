"""The schema accepts what it documents, refuses the rest in one line, and describes itself completely."""

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from otreg.config import DistanceConfig, Length, MapConfig, RegisterConfig, load_settings
from otreg.errors import ArgumentError


def test_texts_become_typed_values():
    config = load_settings(
        RegisterConfig,
        {"models": "rigid, spline", "blur": "2%", "reach": "0.5", "iterations": "7", "sampling": "500", "threads": "2"},
    )
    assert config.models == ("rigid", "spline")
    assert config.blur == Length(0.02, "diagonal")
    assert config.reach == Length(0.5, "file")
    assert (config.iterations, config.sampling, config.threads) == (7, 500, 2)


def test_settings_survive_a_trip_through_json():
    config = load_settings(RegisterConfig, {"models": "affine", "blur": "0.7%", "reach": "none", "tolerance": "1e-3"})
    assert load_settings(RegisterConfig, json.loads(json.dumps(config.model_dump(mode="json")))) == config


@pytest.mark.parametrize(("word", "reach"), [("none", None), (None, None), ("3%", Length(0.03, "diagonal"))])
def test_a_given_reach_is_used_as_it_is(word, reach):
    assert load_settings(RegisterConfig, {"reach": word}).reach_length == reach


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"blurr": "1%"}, ["unknown setting 'blurr'", "did you mean 'blur'"]),
        ({"zzz": 1}, ["unknown setting 'zzz'", "known settings: blur, control_points"]),
        ({"blur": "wide"}, ["--blur must be a positive length", "'wide'", "1%"]),
        ({"reach": "-3%"}, ["--reach must be a positive length", "'-3%'"]),
        ({"models": "spline,rigid"}, ["from few to many degrees of freedom", "'spline,rigid'"]),
        ({"models": "rigid,rigid"}, ["each model once", "'rigid,rigid'"]),
        ({"models": "rigid,bspline"}, ["known models (rigid, similarity, affine, spline, tps)", "'bspline'"]),
        ({"models": []}, ["each model once"]),
        ({"models": 5}, ["known models", "got 5"]),
        ({"optimizer": "bfgs"}, ["'gauss-newton', 'lbfgs' or 'adam'", "'bfgs'", "omit it for gauss-newton"]),
        ({"device": "tpu"}, ["'auto', 'cpu' or 'cuda'", "'tpu'"]),
        ({"reduction": "fast"}, ["'dense'", "'fast'"]),
        ({"iterations": "0"}, ["greater than or equal to 1", "'0'", "omit it for 30"]),
        ({"iterations": "x"}, ["valid integer", "'x'"]),
        ({"tolerance": "0"}, ["greater than 0"]),
        ({"tolerance": "nan"}, ["finite"]),
        ({"stiffness": "-1"}, ["greater than 0"]),
        ({"control_points": 0}, ["greater than or equal to 1"]),
        ({"threads": 0}, ["greater than or equal to 1"]),
        ({"threads": True}, ["a word or a number", "true"]),
        ({"seed": -1}, ["greater than or equal to 0"]),
        ({"sampling": "1"}, ["at least 2", "'1'"]),
        ({"sampling": "edges"}, ["'vertices', 'faces' or a number", "'edges'"]),
        ({"sampling": [3]}, ["'vertices', 'faces' or a number"]),
        ({"weights": ""}, ["point attribute", "otreg info"]),
    ],
)
def test_a_broken_rule_is_one_line_with_rule_value_and_remedy(values, parts):
    with pytest.raises(ArgumentError) as failure:
        load_settings(RegisterConfig, values, name=lambda field: "--" + field.replace("_", "-"))
    message = str(failure.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_distances_and_maps_conserve_mass_unless_told_otherwise():
    assert DistanceConfig().reaches == MapConfig().reaches == (None, None)
    twice = Length(0.06, "diagonal")
    assert load_settings(MapConfig, {"reach": "auto", "blur": "3%"}).reaches == (twice, twice)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("1%, none", (Length(0.01, "diagonal"), None)),
        ("NONE,0.5", (None, Length(0.5, "file"))),
        ("2.0,3%", (Length(2.0, "file"), Length(0.03, "diagonal"))),
        ((None, "3%"), (None, Length(0.03, "diagonal"))),
    ],
)
def test_a_reach_may_be_one_for_each_shape_where_they_stay(text, pair):
    config = load_settings(MapConfig, {"reach": text})
    assert config.reaches == pair
    assert load_settings(MapConfig, json.loads(json.dumps(config.model_dump(mode="json")))) == config


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"reach": "1%,2%,3%"}, ["--reach must be one length, or two as SOURCE,TARGET", "'1%,2%,3%'"]),
        ({"reach": "1%,"}, ["--reach must be a positive length", "''"]),
        ({"reach": "auto,1%"}, ["--reach must be a positive length", "'auto'"]),
        ({"reach": "1,5"}, ["decimal comma", "'1,5'", "Write 1.5 for one length"]),
        ({"p": "3"}, ["--p must be less than or equal to 2", "'3'", "omit it for 2"]),
        ({"p": "1.5"}, ["--p must be a valid integer", "'1.5'"]),
        ({"p": True}, ["--p must be a word or a number"]),
        ({"precision": "half"}, ["--precision must be 'float32' or 'float64'", "'half'", "omit it for float32"]),
    ],
)
def test_what_compares_two_shapes_is_checked_like_the_rest(values, parts):
    with pytest.raises(ArgumentError) as failure:
        load_settings(DistanceConfig, values, name=lambda field: "--" + field.replace("_", "-"))
    message = str(failure.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_registration_has_one_reach():
    with pytest.raises(ArgumentError, match="--reach must be one length in a registration; got '1%,none'"):
        load_settings(RegisterConfig, {"reach": "1%,none"}, name=lambda field: "--" + field)


def test_settings_cannot_be_changed_after_they_were_checked():
    with pytest.raises(ValidationError, match="frozen"):
        RegisterConfig().iterations = 0  # type: ignore[misc]


@pytest.mark.parametrize("schema", [RegisterConfig, DistanceConfig, MapConfig])
def test_every_setting_has_a_description(schema):
    for name, field in schema.model_fields.items():
        assert field.description and field.description.endswith("."), name


def test_the_schema_imports_no_array_library():
    code = "import otreg.config, sys; print(sorted({'torch', 'numpy', 'numba', 'scipy'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
