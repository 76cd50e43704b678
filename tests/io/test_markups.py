"""Landmarks of Slicer: their positions move, their names and everything else stay, and their axes are known."""

import json
from pathlib import Path

import numpy as np
import pytest

from otreg.errors import FormatError, OutputFileError
from otreg.io import read_shape, write_shape
from otreg.shapes import Shape

CONTENT = {
    "@schema": "https://raw.githubusercontent.com/slicer/slicer/master/markups-schema-v1.0.3.json#",
    "markups": [
        {
            "type": "Fiducial",
            "coordinateSystem": "LPS",
            "locked": False,
            "controlPoints": [
                {
                    "id": "1",
                    "label": "Näsion",
                    "position": [1.5, -2.0, 3.25],
                    "orientation": [-1.0, 0.0],
                    "locked": True,
                },
                {"id": "2", "label": "lost", "position": [0.0, 0.0, 0.0], "positionStatus": "undefined"},
                {"id": "3", "label": "tail", "position": [10, 20, 30.1], "positionStatus": "defined"},
            ],
            "display": {"color": [0.4, 1.0, 1.0]},
        },
        {"type": "Line", "coordinateSystem": "LPS", "controlPoints": [{"label": "end", "position": [7, 8, 9]}]},
    ],
}


def markups(path: Path, content: object = CONTENT) -> Path:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def test_control_points_move_and_everything_else_stays(tmp_path: Path) -> None:
    source = markups(tmp_path / "a.mrk.json")
    shape = read_shape(source)
    assert (shape.format, shape.space) == ("markups", "LPS")
    assert shape.points.tolist() == [[1.5, -2, 3.25], [10, 20, 30.1], [7, 8, 9]]
    assert shape.point_data["label"].tolist() == ["Näsion", "tail", "end"]
    assert "1 control points have no position" in shape.warnings[0]
    write_shape(shape, tmp_path / "same.mrk.json")
    assert (tmp_path / "same.mrk.json").read_bytes() == source.read_bytes()
    write_shape(shape.with_points(shape.points + 1 / 3), tmp_path / "b.mrk.json")
    after = json.loads((tmp_path / "b.mrk.json").read_text(encoding="utf-8"))
    assert after["markups"][0]["controlPoints"][2]["position"] == [10 + 1 / 3, 20 + 1 / 3, 30.1 + 1 / 3]
    for m, c, position in ((0, 0, [1.5, -2.0, 3.25]), (0, 2, [10, 20, 30.1]), (1, 0, [7, 8, 9])):
        after["markups"][m]["controlPoints"][c]["position"] = position
    assert after == CONTENT


def test_new_landmarks_need_a_frame(tmp_path: Path) -> None:
    shape = Shape(np.eye(3), point_data={"name": np.array(["a", "b", "ü"])})
    with pytest.raises(OutputFileError, match="RAS or LPS"):
        write_shape(shape, tmp_path / "a.mrk.json")
    write_shape(Shape(np.eye(3), point_data=shape.point_data, space="RAS"), tmp_path / "a.mrk.json")
    again = read_shape(tmp_path / "a.mrk.json")
    assert again.space == "RAS" and np.array_equal(again.points, np.eye(3))
    assert again.point_data["label"].tolist() == ["a", "b", "ü"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "without a list 'markups'"),
        ({"markups": 3}, "without a list 'markups'"),
        ({"markups": [3]}, "without a list 'markups'"),
        ({"markups": [{"coordinateSystem": "IJK"}]}, "found IJK"),
        ({"markups": [{"coordinateSystem": "RAS"}, {"coordinateSystem": "LPS"}]}, "found LPS, RAS"),
        ({"markups": [{"controlPoints": {}}]}, "must be a list"),
        ({"markups": [{"controlPoints": [{"position": [1, 2]}]}]}, "control point 0: 'position'"),
        ({"markups": [{"controlPoints": [{"position": [1, 2, True]}]}]}, "3 finite numbers"),
        ({"markups": [{"controlPoints": [{"position": [1, 2, 10**400]}]}]}, "3 finite numbers"),
        ({"markups": [{"controlPoints": [7]}]}, "3 finite numbers"),
        ({"markups": []}, "holds no points"),
    ],
)
def test_bad_markups_are_one_line(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_shape(markups(tmp_path / "a.mrk.json", content))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_deeply_nested_json_is_one_line(tmp_path: Path) -> None:
    for depth in (400, 900, 100_000):
        (tmp_path / "a.mrk.json").write_text(
            '{"markups": [{"controlPoints": [{"position": [1, 2, 3]}]}], "x": ' + "[" * depth + "]" * depth + "}"
        )
        try:
            shape = read_shape(tmp_path / "a.mrk.json")
            write_shape(shape.with_points(shape.points + 1), tmp_path / "b.mrk.json", overwrite=True)
        except (FormatError, OutputFileError) as error:
            assert "\n" not in str(error)


FCSV = """# Markups fiducial file version = 4.11
# CoordinateSystem = {system}
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
vtkMRMLMarkupsFiducialNode_0,1.5,-2,3.25,0,0,0,1,1,1,0,F-1,"a, b",
vtkMRMLMarkupsFiducialNode_1,10,20,30.1,0,0,0,1,1,1,0,F-2,,
"""


@pytest.mark.parametrize(("system", "space"), [("LPS", "LPS"), ("RAS", "RAS"), ("0", "RAS"), ("1", "LPS")])
def test_fcsv_moves_in_its_own_lines(tmp_path: Path, system: str, space: str) -> None:
    (tmp_path / "a.fcsv").write_text(FCSV.format(system=system))
    shape = read_shape(tmp_path / "a.fcsv")
    assert (shape.format, shape.space) == ("fcsv", space)
    assert shape.points.tolist() == [[1.5, -2, 3.25], [10, 20, 30.1]]
    assert shape.point_data["label"].tolist() == ["F-1", "F-2"]
    write_shape(shape.with_points(shape.points + 1), tmp_path / "b.fcsv")
    expected = (
        FCSV.format(system=system).replace("1.5,-2,3.25", "2.5,-1.0,4.25").replace("10,20,30.1", "11.0,21.0,31.1")
    )
    assert (tmp_path / "b.fcsv").read_text() == expected
    with pytest.raises(OutputFileError, match=r"mrk.json can hold them; formats that can: .*markups"):
        write_shape(Shape(shape.points, point_data=shape.point_data, space="RAS"), tmp_path / "c.fcsv")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("= LPS", "= IJK", "coordinate system 'IJK'"),
        ("id,x,y,z", "id,a,b,c", "must include x, y and z"),
        ("1.5,-2,3.25", "1.5,-2,abc", "line 4: a coordinate must be a number"),
        ('_0,1.5,-2,3.25,0,0,0,1,1,1,0,F-1,"a, b",', "_0,1.5", "line 4: must have 14 values"),
    ],
)
def test_bad_fcsv_is_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "a.fcsv").write_text(FCSV.format(system="LPS").replace(old, new))
    with pytest.raises(FormatError) as caught:
        read_shape(tmp_path / "a.fcsv")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_fcsv_without_rows_holds_no_points(tmp_path: Path) -> None:
    (tmp_path / "a.fcsv").write_text("\n".join(FCSV.format(system="LPS").splitlines()[:3]) + "\n")
    with pytest.raises(ValueError, match=r"a\.fcsv: holds no points"):
        read_shape(tmp_path / "a.fcsv")


def test_real_landmarks_are_read(shared_data: Path) -> None:
    folder = shared_data / "medical" / "statismo_hands_femurs"
    table = read_shape(folder / "hand_landmarks" / "hand-1.csv")
    plain = read_shape(folder / "hand_landmarks" / "hand-1.fcsv")  # Slicer's extension, without Slicer's header
    assert np.array_equal(table.points, plain.points) and plain.space == ""
    assert next(iter(table.point_data.values())).tolist() == [f"pt{k}" for k in range(1, 10)]
    for k in (1, 2):
        landmarks = read_shape(folder / "femur_meshes" / f"VSD00{k}-lm.csv")
        bone = read_shape(folder / "femur_meshes" / f"VSD00{k}_femur.vtk")
        nearest = np.linalg.norm(landmarks.points[:, None] - bone.points, axis=2).min(axis=1)
        assert nearest.max() < 0.02 * np.linalg.norm(np.ptp(bone.points, axis=0))
