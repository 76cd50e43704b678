"""Landmarks that experts placed on real bones, in files of both of Slicer's and of spreadsheets' kinds."""

import json

import pytest

pytestmark = pytest.mark.slow


def test_femurs_come_together_with_the_landmarks_of_an_expert(otreg, real_pair, tmp_path):
    pair = real_pair("femur_VSD001_VSD002")
    marks = [path.with_name(path.name.replace("_femur.vtk", "-lm.csv")) for path in (pair.source, pair.target)]
    flags = ("-m", "similarity", "--sampling", "20000", "--blur", "2%", "--json")
    report = json.loads(otreg("register", pair.source, pair.target, "--landmarks", *marks, "-d", tmp_path, *flags))
    assert report["landmarks"]["names"] == ["A", "B", "C", "D"]
    # Two different people, one size: what is left is how they differ, a fraction of the 24 mm before.
    assert report["landmarks"]["rms_after"] < 0.25 * report["landmarks"]["rms_before"]
    assert report["search"] is None, "four landmarks are a start"
