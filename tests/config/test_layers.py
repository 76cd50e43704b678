"""Flags win over the file, the file over the environment, that over the defaults; each value knows its origin."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, model_validator

from otreg.config import (
    DistanceConfig,
    Length,
    RegisterConfig,
    environment_layer,
    file_layer,
    flag_layer,
    load_settings,
    resolve,
)
from otreg.errors import ArgumentError, SettingsError


def flags(**values):
    return flag_layer(RegisterConfig, values, flag=lambda name: f"--{name}")


def environment(**values):
    return environment_layer(RegisterConfig, values)


def test_each_value_is_that_of_the_highest_layer_and_knows_it(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("blur: 2%\nreach: 3%\niterations: 7\n")
    layers = (
        environment(OTREG_BLUR="4%", OTREG_REACH="5%", OTREG_SEED="6", OTREG_ITERATIONS="8"),
        file_layer(RegisterConfig, file),
        flags(blur="1%"),
    )
    resolved = resolve(RegisterConfig, *layers)
    assert resolved.config == RegisterConfig(
        blur=Length(0.01, "diagonal"), reach=Length(0.03, "diagonal"), iterations=7, seed=6
    )
    assert {name: str(origin) for name, origin in resolved.origins.items() if origin.kind != "default"} == {
        "blur": "flag --blur",
        "reach": f"file {file}:2:8",
        "iterations": f"file {file}:3:13",
        "seed": "environment OTREG_SEED",
    }
    assert resolved.origins.keys() == RegisterConfig.model_fields.keys()


@given(st.lists(st.sampled_from([None, 11, 22, 33]), min_size=3, max_size=3))
def test_the_last_layer_that_gives_a_value_wins(given_by_layer):
    below, file, above = given_by_layer
    layers = [
        environment(**({} if below is None else {"OTREG_ITERATIONS": str(below)})),
        flags(**({} if file is None else {"iterations": file})),
        flags(**({} if above is None else {"iterations": above})),
    ]
    found = resolve(RegisterConfig, *layers).config.iterations
    assert found == next((value for value in (above, file, below) if value is not None), 30)


def test_a_wrong_value_is_an_error_also_where_another_wins(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("blur: wide\n")
    with pytest.raises(SettingsError) as failure:
        resolve(
            RegisterConfig,
            environment(OTREG_BLUR="far", OTREG_SEED="x"),
            file_layer(RegisterConfig, file),
            flags(blur="1%", iterations="0"),
        )
    starts = ["OTREG_BLUR must be a positive length; got 'far'", "OTREG_SEED must be a valid integer"]
    starts += [f"{file}:1:7: blur: must be a positive length; got 'wide'", "--iterations must be greater than"]
    assert len(failure.value.problems) == len(starts)
    for line, start in zip(failure.value.problems, starts, strict=True):
        assert line.startswith(start)
    assert str(failure.value) == "\n".join(failure.value.problems)


class Range(BaseModel):
    """Settings with a rule between two of them."""

    low: int = 0
    high: int = 10

    @model_validator(mode="after")
    def _in_order(self):
        if self.low > self.high:
            raise ArgumentError(f"must have low below high; got {self.low} and {self.high}")
        return self


def test_a_rule_between_settings_holds_for_the_outcome_alone(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("low: 20\n")
    layer = file_layer(Range, file)
    assert resolve(Range, layer, flag_layer(Range, {"high": 30}, flag=str)).config == Range(low=20, high=30)
    with pytest.raises(SettingsError) as failure:
        resolve(Range, layer)
    assert failure.value.problems == ("must have low below high; got 20 and 10",)


def test_variables_of_other_commands_are_ignored_and_empty_ones_not_given():
    layer = environment(OTREG_GRID="x", OTREG_P="7", OTREG_BLUR="", OTREG_REACH=" ", OTHER="1", OTREG_SEED="5")
    assert (layer.values, layer.problems, layer.warnings) == ({"seed": "5"}, (), ())
    assert environment_layer(DistanceConfig, {"OTREG_MODELS": "rubber"}).problems == ()


def test_a_variable_that_is_no_setting_is_a_warning_with_the_nearest_one():
    layer = environment(OTREG_BLURR="1%", OTREG_MODEL="rigid", OTREG_XYZ="1", OTREG_blur="1%")
    assert layer.problems == ()
    assert layer.warnings == (
        "the variable OTREG_BLURR is no setting; did you mean OTREG_BLUR?",
        "the variable OTREG_MODEL is no setting; did you mean OTREG_MODELS?",
        "the variable OTREG_XYZ is no setting; 'otreg config show' lists the settings of a command",
        "the variable OTREG_blur is no setting; did you mean OTREG_BLUR?",
    )
    assert resolve(RegisterConfig, layer).warnings == layer.warnings


def test_every_setting_has_a_variable():
    for name, field in RegisterConfig.model_fields.items():
        text = {"models": "affine", "init": "none", "reach": "7%"}.get(name, str(field.default))
        if field.default is None:
            text = {"threads": "1", "weights": "area"}[name]
        layer = environment(**{f"OTREG_{name.upper()}": text})
        assert (dict(layer.values), layer.problems, layer.warnings) == ({name: text}, (), ()), name


def test_all_wrong_settings_are_said_at_once():
    with pytest.raises(ArgumentError) as failure:
        load_settings(RegisterConfig, {"blur": "x", "seed": -1, "nope": 1})
    assert isinstance(failure.value, SettingsError)
    assert len(failure.value.problems) == 3
    again = pickle.loads(pickle.dumps(failure.value))
    assert (again.problems, str(again), again.exit_code) == (failure.value.problems, str(failure.value), 2)
