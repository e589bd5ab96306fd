"""Published files: found, fetched, refused; and what is made of them."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.datasets import DATASETS, cifar10, fashion_mnist, idx, imdb, reviews, scaled
from orchestrator.datasets.files import Files, Published
from orchestrator.errors import CaseFailure, Stage, Symptom

CONTENT = b"what was published"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NOWHERE = "http://127.0.0.1:1/file.gz"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Of a data set whose folder of the user's is empty."""
    (tmp_path / "given" / "some").mkdir(parents=True)
    return Files("some", tmp_path / "given", tmp_path / "cache")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a server that has `file.gz`."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "file.gz").write_bytes(gzip.compress(CONTENT))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def given(files: Files, name: str, content: bytes) -> Path:
    """Puts a file where the user would."""
    assert files.data_dir
    path = files.data_dir / files.data / name
    path.write_bytes(content)
    return path


def refused(files: Files, published: Published) -> CaseFailure:
    """What reading it ends as."""
    with pytest.raises(CaseFailure) as caught:
        files.read(published)
    assert caught.value.stage == Stage.TRAIN
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("name", ["file", "file.gz"])
def test_a_file_of_the_users_is_read_packed_or_not(files: Files, name: str) -> None:
    given(files, name, gzip.compress(CONTENT) if name.endswith(".gz") else CONTENT)
    assert files.read(Published("file", SHA256, NOWHERE)) == CONTENT


def test_what_is_nowhere_is_fetched_once(files: Files, web: str) -> None:
    published = Published("file", SHA256, f"{web}/file.gz")
    assert files.read(published) == CONTENT
    assert files.read(Published("file", SHA256, NOWHERE)) == CONTENT


def test_what_cannot_be_had_says_what_to_fetch_and_where_to_put_it(files: Files) -> None:
    failure = refused(files, Published("file", SHA256, NOWHERE))
    assert failure.symptom == Symptom.UNAVAILABLE
    for words in (NOWHERE, f"{files.data_dir}/some/", f"--data-dir {files.data_dir}"):
        assert words in failure.message


@pytest.mark.parametrize(
    ("name", "content"),
    [("file", CONTENT[:-1]), ("file.gz", gzip.compress(CONTENT)[:-9]), ("file.gz", CONTENT)],
    ids=["another", "torn", "not packed"],
)
def test_another_file_is_refused_by_its_name(files: Files, name: str, content: bytes) -> None:
    path = given(files, name, content)
    failure = refused(files, Published("file", SHA256, NOWHERE))
    assert failure.symptom == Symptom.REFUSED
    assert str(path) in failure.message


def test_idx_files_become_images_of_both_layouts(files: Files) -> None:
    random = np.random.default_rng(1)
    arrays = [random.integers(0, 256, (count, 28, 28), np.uint8) for count in (5100, 60)]
    labels = [np.arange(count, dtype=np.uint8) % 10 for count in (5100, 60)]
    contents = [_idx(array) for pair in zip(arrays, labels, strict=True) for array in pair]
    for name, content in zip(idx.NAMES, contents, strict=True):
        given(files, f"{name}.gz", gzip.compress(content))
    one, two, three, four = (hashlib.sha256(content).hexdigest() for content in contents)
    keras = idx.load((one, two, three, four), NOWHERE, "keras", "28x28x1", files)
    assert [len(part.labels) for part in (keras.train, keras.validation, keras.test)] == [100, 5000, 60]
    assert np.array_equal(keras.test.inputs[..., 0], arrays[1])
    pytorch = idx.load((one, two, three, four), NOWHERE, "pytorch", "32x32x3", files)
    assert pytorch.test.inputs.shape == (60, 3, 32, 32)
    assert np.array_equal(pytorch.test.inputs[:, 1, 2:-2, 2:-2], arrays[1])
    assert scaled(np.array([0, 51, 255], np.uint8)).tolist() == pytest.approx([0, 0.2, 1])


def _idx(array: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_cifar_batches_become_images(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    random, archive = np.random.default_rng(1), io.BytesIO()
    pixels = random.integers(0, 256, (20, 3072), np.uint8)
    batch = pickle.dumps({b"data": pixels, b"labels": [number % 10 for number in range(20)]})
    with tarfile.open(fileobj=archive, mode="w:gz") as packed:
        for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(batch)
            packed.addfile(member, io.BytesIO(batch))
    given(files, "cifar-10-python.tar.gz", archive.getvalue())
    published = Published("cifar-10-python.tar.gz", hashlib.sha256(archive.getvalue()).hexdigest(), NOWHERE)
    monkeypatch.setattr(cifar10, "_ARCHIVE", published)
    monkeypatch.setattr(cifar10, "_VALIDATION", 30)
    data = cifar10.load("pytorch", "32x32x3", files)
    assert [len(part.labels) for part in (data.train, data.validation, data.test)] == [70, 30, 20]
    assert np.array_equal(data.test.inputs.reshape(20, -1), pixels)
    assert cifar10.load("keras", "28x28x1", files).test.inputs.shape == (20, 28, 28, 1)


def test_words_ranks_become_sequences_padded_as_in_the_study(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    ranked = np.empty(40, object)
    ranked[:] = [[5, 1200 + number, 1] for number in range(40)]
    content = io.BytesIO()
    labels = np.arange(40) % 2
    np.savez(content, x_train=ranked, y_train=labels, x_test=ranked, y_test=labels)
    given(files, "imdb.npz", content.getvalue())
    monkeypatch.setattr(
        imdb, "_ARCHIVE", Published("imdb.npz", hashlib.sha256(content.getvalue()).hexdigest(), NOWHERE)
    )
    monkeypatch.setattr(imdb, "_VALIDATION", 10)
    monkeypatch.setattr(imdb, "LENGTHS", {"keras": 4, "pytorch": 4})
    keras, pytorch = (imdb.load(framework, "tokens", files) for framework in ("keras", "pytorch"))
    assert pytorch.facts == {"vocabulary": 1001, "length": 4}
    assert pytorch.test.inputs[0].tolist() == [0, 0, 5, 1]
    assert keras.test.inputs[3].tolist() in ([5, 1203, 1, 0], [5, 1, 0, 0])
    assert int(keras.facts["vocabulary"]) > int(keras.test.inputs.max())  # type: ignore[arg-type]
    assert np.array_equal(keras.test.labels, pytorch.test.labels)


def test_the_reviews_are_there_for_whoever_can_install_packages(tmp_path: Path) -> None:
    files = Files("reviews", None, tmp_path)
    keras, pytorch = (reviews.load(framework, "tokens", files) for framework in ("keras", "pytorch"))
    parts = [(part.train, part.validation, part.test) for part in (keras, pytorch)]
    assert [sum(len(samples.labels) for samples in part) for part in parts] == [10_605, 10_605]
    for ours, theirs in zip(*parts, strict=True):
        assert np.array_equal(ours.labels, theirs.labels)
        assert 0.45 < ours.labels.mean() < 0.55
        assert 0.4 < ours.labels[:200].mean() < 0.6  # they are published by class
        assert ours.inputs.shape == theirs.inputs.shape == (len(ours.labels), 32)
        assert ours.inputs.max() < int(keras.facts["vocabulary"])  # type: ignore[arg-type]
        assert theirs.inputs.max() <= 1000


@pytest.mark.skipif(
    not fashion_mnist._DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed"
)
def test_fashion_mnist_is_found_where_debian_puts_it(tmp_path: Path) -> None:
    data = fashion_mnist.load("keras", "28x28x1", Files("fashion-mnist", None, tmp_path / "cache"))
    assert [len(part.labels) for part in (data.train, data.validation, data.test)] == [55_000, 5000, 10_000]
    assert np.bincount(data.test.labels).tolist() == [1000] * 10


def test_every_data_set_has_its_module() -> None:
    assert {entry.module.rpartition(".")[2].replace("_", "-") for entry in DATASETS.values()} == set(DATASETS)
