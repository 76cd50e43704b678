"""Landmarks of two files: joined by name or by order, in the shapes' axes, refused where a pair would be a guess."""

import json
from pathlib import Path

import numpy as np
import pytest

from otreg.errors import InputError
from otreg.jobs.landmarks import LandmarkDistances, LandmarkPairs, read_landmarks
from otreg.jobs.reading import Reading
from otreg.shapes import Shape

BOX = np.array([[-10.0, -10, -10], [10, 10, 10]])
SHAPES = Shape(BOX, path=Path("source.ply")), Shape(BOX, path=Path("target.ply"))


def csv(path, rows):
    path.write_text("name,x,y,z\n" + "".join(f"{','.join(map(str, row))}\n" for row in rows))
    return path


def mrk(path, rows, system):
    controls = [{"label": name, "position": list(position)} for name, *position in rows]
    path.write_text(json.dumps({"markups": [{"coordinateSystem": system, "controlPoints": controls}]}))
    return path


def read(source, target, *, shapes=SHAPES, space=""):
    return read_landmarks((source, target), shapes, space=space, reading=Reading())


def test_names_join_landmarks_whatever_their_order(tmp_path):
    source = csv(tmp_path / "a.csv", [("nose", 1, 0, 0), ("chin", 2, 0, 0), ("ear", 3, 0, 0)])
    target = csv(tmp_path / "b.csv", [("ear", 6, 0, 0), ("nose", 4, 0, 0), ("chin", 5, 0, 0)])
    pairs = read(source, target)
    assert pairs.names == ("nose", "chin", "ear")
    assert pairs.source[:, 0].tolist() == [1, 2, 3]
    assert pairs.target[:, 0].tolist() == [4, 5, 6]
    assert pairs.record["source_landmarks"]["path"] == str(source)
    assert pairs.warnings == ()


def test_a_column_called_label_is_the_name_even_beside_others_and_where_it_is_a_number(tmp_path):
    rows = "operator,label,x,y,z\nB,2,2,0,0\nA,1,1,0,0\n"
    (tmp_path / "a.csv").write_text(rows)
    target = csv(tmp_path / "b.csv", [("1", 4, 0, 0), ("2", 5, 0, 0)])
    pairs = read(tmp_path / "a.csv", target)
    assert pairs.names == ("2", "1")
    assert pairs.target[:, 0].tolist() == [5, 4]


def test_without_names_in_one_file_the_order_joins_them(tmp_path):
    source = csv(tmp_path / "a.csv", [("nose", 1, 0, 0), ("chin", 2, 0, 0)])
    (tmp_path / "b.xyz").write_text("4 0 0\n5 0 0\n")
    assert read(source, tmp_path / "b.xyz").names == ("nose", "chin")
    (tmp_path / "a.xyz").write_text("1 0 0\n2 0 0\n")
    pairs = read(tmp_path / "a.xyz", tmp_path / "b.xyz")
    assert pairs.names == ("#1", "#2")
    assert pairs.target[:, 0].tolist() == [4, 5]


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (
            [("nasion", 1, 0, 0), ("ear", 2, 0, 0)],
            [("nassion", 1, 0, 0), ("ear", 2, 0, 0)],
            r"a\.csv: lacks landmarks that .*b\.csv has: 'nassion' \(is it 'nasion'\?\)\. Name each place alike",
        ),
        (
            [("a", 1, 0, 0), ("b", 2, 0, 0), ("c", 2, 0, 1), ("d", 2, 1, 0), ("e", 1, 1, 1)],
            [("a", 1, 0, 0)],
            r"b\.csv: lacks landmarks that .*a\.csv has: 'b', 'c', 'd' and 1 more",
        ),
        ([("a", 1, 0, 0), ("a", 2, 0, 0)], [("a", 1, 0, 0)], r"a\.csv: names must differ; 'a' is there twice"),
        ([("a", 1, 0, 0), ("", 2, 0, 0)], [("a", 1, 0, 0)], r"a\.csv: landmark 2 has no name"),
    ],
)
def test_names_without_partner_are_refused(tmp_path, source, target, words):
    with pytest.raises(InputError, match=words) as caught:
        read(csv(tmp_path / "a.csv", source), csv(tmp_path / "b.csv", target))
    assert "\n" not in str(caught.value)


def test_lists_of_different_lengths_are_refused(tmp_path):
    (tmp_path / "a.xyz").write_text("1 0 0\n2 0 0\n3 0 0\n")
    (tmp_path / "b.xyz").write_text("4 0 0\n5 0 0\n")
    with pytest.raises(InputError, match=r"by their order.*found 3 and 2\. Name those of .*a\.xyz and .*b\.xyz"):
        read(tmp_path / "a.xyz", tmp_path / "b.xyz")


def test_landmarks_of_another_dimension_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match=r"a\.csv: landmarks must have as many coordinates as the shapes, 3; found 2"):
        read(tmp_path / "a.csv", csv(tmp_path / "b.csv", [("a", 1, 0, 0)]))


def test_landmarks_in_the_other_frame_are_turned_round(tmp_path):
    source = mrk(tmp_path / "a.mrk.json", [("nose", 1.0, 2.0, 3.0)], "RAS")
    target = mrk(tmp_path / "b.mrk.json", [("nose", 1.0, 2.0, 3.0)], "LPS")
    pairs = read(source, target, space="LPS")
    assert pairs.source.tolist() == [[-1, -2, 3]]
    assert pairs.target.tolist() == [[1, 2, 3]]


def test_landmarks_in_two_frames_beside_shapes_that_say_nothing_are_refused(tmp_path):
    source = mrk(tmp_path / "a.mrk.json", [("nose", 1.0, 2.0, 3.0)], "RAS")
    target = mrk(tmp_path / "b.mrk.json", [("nose", 1.0, 2.0, 3.0)], "LPS")
    with pytest.raises(InputError, match=r"b\.mrk\.json: is in LPS, but .*a\.mrk\.json in RAS"):
        read(source, target)
    same = mrk(tmp_path / "c.mrk.json", [("nose", 1.0, 2.0, 3.0)], "RAS")
    assert read(source, same).target.tolist() == [[1, 2, 3]]


def test_landmarks_in_another_unit_are_warned_of(tmp_path):
    source = csv(tmp_path / "a.csv", [("nose", 9, 0, 0), ("chin", 0, 0, 12)])
    target = csv(tmp_path / "b.csv", [("nose", 9000, 0, 0), ("chin", 0, 0, 12)])
    [warning] = read(source, target).warnings
    assert "b.csv: landmark 'nose' lies 8990 file units outside of the box around target.ply" in warning
    assert "see whether both use one unit" in warning


def test_distances_are_summed_up_and_an_outlier_says_what_to_do():
    distances = LandmarkDistances(
        names=("a", "b", "c"), before=(3.0, 4.0, 0.0), after=(1.0, 2.0, 30.0), outliers=("c",), weight=0.1
    )
    assert distances.rms_before == pytest.approx((25 / 3) ** 0.5)
    assert distances.farthest == "c"
    [sentence] = distances.warnings
    assert sentence.startswith("landmark 'c' ends 30 file units from its partner, the median one 2; see whether")
    record = distances.to_dict()
    assert [record[key][2] for key in ("names", "before", "after")] == ["c", 0.0, 30.0]
    assert record["outliers"] == ["c"]


def test_pairs_hold_as_many_points_on_both_sides(tmp_path):
    rows = [("a", 1, 0, 0), ("b", 2, 0, 0)]
    pairs = read(csv(tmp_path / "a.csv", rows), csv(tmp_path / "b.csv", rows))
    assert isinstance(pairs, LandmarkPairs)
    assert pairs.source.shape == pairs.target.shape == (2, 3)
