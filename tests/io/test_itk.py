"""ITK's transform files, read and written as SimpleITK does."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from otreg.errors import ArgumentError, FormatError, OutputFileError
from otreg.io import read_itk, write_itk

CENTRE = (10.0, -20.0, 35.5)
SHIFT = (3.25, -1.5, 100.125)


def euler(zyx: bool) -> sitk.Transform:
    transform = sitk.Euler3DTransform(CENTRE, 0.3, -0.7, 1.1, SHIFT)
    transform.SetComputeZYX(zyx)
    return transform


def affine(d: int) -> sitk.Transform:
    transform = sitk.AffineTransform(d)
    transform.SetMatrix((np.eye(d) + np.arange(d * d).reshape(d, d) / 7).reshape(-1).tolist())
    transform.SetTranslation(SHIFT[:d])
    transform.SetCenter(CENTRE[:d])
    return transform


def similarity() -> sitk.Transform:
    return sitk.Similarity3DTransform(1.7, sitk.VersorTransform((0.1, 0.9, -0.2), 2.5).GetVersor(), SHIFT, CENTRE)


TRANSFORMS = {
    "affine 3": lambda: affine(3),
    "affine 2": lambda: affine(2),
    "euler": lambda: euler(False),
    "euler zyx": lambda: euler(True),
    "euler 2": lambda: sitk.Euler2DTransform(CENTRE[:2], 0.6, SHIFT[:2]),
    "similarity 2": lambda: sitk.Similarity2DTransform(2.5, 0.6, SHIFT[:2], CENTRE[:2]),
    "translation": lambda: sitk.TranslationTransform(3, SHIFT),
    "versor rigid": lambda: sitk.VersorRigid3DTransform((1, 2, 3), 0.4, SHIFT, CENTRE),
    "versor": lambda: sitk.VersorTransform((1, 2, 3), 0.4, CENTRE),
    "similarity": similarity,
    "composite": lambda: sitk.CompositeTransform([affine(3), euler(False), similarity()]),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_points_go_where_simpleitk_sends_them(tmp_path: Path, name: str) -> None:
    transform = TRANSFORMS[name]()
    sitk.WriteTransform(transform, str(tmp_path / "a.tfm"))
    matrix = read_itk(tmp_path / "a.tfm")
    d = transform.GetDimension()
    for point in np.random.default_rng(0).normal(scale=100, size=(5, d)):
        assert (matrix @ [*point, 1])[:d] == pytest.approx(transform.TransformPoint(point.tolist()), abs=1e-9)


@pytest.mark.parametrize("d", [2, 3])
def test_simpleitk_reads_what_is_written_digit_for_digit(tmp_path: Path, d: int) -> None:
    matrix = np.eye(d + 1)
    matrix[:d] = np.random.default_rng(1).normal(size=(d, d + 1))
    write_itk(tmp_path / "a.tfm", matrix)
    transform = sitk.AffineTransform(sitk.ReadTransform(str(tmp_path / "a.tfm")))
    assert np.array_equal(np.reshape(transform.GetMatrix(), (d, d)), matrix[:d, :d])
    assert np.array_equal(transform.GetTranslation(), matrix[:d, d])
    assert np.array_equal(read_itk(tmp_path / "a.tfm"), matrix)
    with pytest.raises(OutputFileError, match="exists already"):
        write_itk(tmp_path / "a.tfm", matrix)
    with pytest.raises(ArgumentError, match="finite 4 x 4"):
        write_itk(tmp_path / "b.tfm", np.full((4, 4), np.nan))


HEAD = "#Insight Transform File V1.0\n#Transform 0\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "its first line must be"),
        (HEAD, "holds no transform"),
        (HEAD + "Transform: BSplineTransform_double_3_3\nParameters: 1\nFixedParameters: 1\n", "BSplineTransform"),
        (HEAD + "Transform: AffineTransform_double_4_4\nParameters: 1\n", "not a linear transform of 2 or 3"),
        (HEAD + "Transform: AffineTransform_double_3_3\nParameters: 1 2 3\nFixedParameters: 0 0 0\n", "12 numbers"),
        (HEAD + "Transform: TranslationTransform_double_3_3\nParameters: 1 2 x\n", "must be numbers"),
        (HEAD + "Transform: TranslationTransform_double_3_3\nParameters: 1 2 nan\n", "must be finite"),
        (HEAD + "Transform: VersorTransform_double_3_3\nParameters: 1 2 3\n", "length at most 1"),
        (HEAD + "Transform: Euler3DTransform_double_3_3\nParameters: 1 2 3 0 0 0\nFixedParameters: 0\n", "centre of 3"),
        (HEAD + "Parameters: 1 2 3\n", "line 3: Parameters must follow"),
        (HEAD + "<html>\n", "line 3: must be Transform"),
        (HEAD + "Transform: TranslationTransform_double_3_3\nParameters: 1 2 3\n" * 2 + "x" * 2_000_000, "larger than"),
    ],
)
def test_what_is_no_linear_transform_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.tfm").write_text(text)
    with pytest.raises(FormatError) as caught:
        read_itk(tmp_path / "a.tfm")
    assert words in str(caught.value) and str(tmp_path / "a.tfm") in str(caught.value) and "\n" not in str(caught.value)
