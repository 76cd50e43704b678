"""Damaged and random files give a shape that holds together, or one line: for every reader, a short run."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.io import formats

from .fuzz import EXTENSIONS, GUARDED, check, corpus, damaged

KINDS = [info.name for info in formats() if info.can_read and info.name not in GUARDED]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    return corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


def test_the_corpus_has_valid_files_for_every_reader(files: dict[str, list[bytes]], folder: Path) -> None:
    assert set(files) == {info.name for info in formats() if info.can_read}
    for kind, listed in files.items():
        for data in listed:
            assert check(folder / f"valid{EXTENSIONS[kind]}", data, format=None) == "shape", (kind, data[:300])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), named=st.booleans())
def test_damaged_files(kind: str, files: dict[str, list[bytes]], folder: Path, seed: int, named: bool) -> None:
    choose = random.Random(seed)
    content = damaged(choose.choice(files[kind]), choose)
    check(folder / f"damaged{EXTENSIONS[kind]}", content, format=kind if named else None)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50)
@given(content=st.binary(max_size=400))
def test_random_bytes(kind: str, folder: Path, content: bytes) -> None:
    check(folder / f"random{EXTENSIONS[kind]}", content, format=kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", GUARDED)
def test_damaged_files_of_other_people_s_parsers(kind: str, files: dict[str, list[bytes]], folder: Path) -> None:
    choose = random.Random(kind)
    for _ in range(6):
        content = damaged(choose.choice(files[kind]), choose)
        check(folder / f"damaged{EXTENSIONS[kind]}", content, format=kind)
