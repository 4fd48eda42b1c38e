"""`tiled-infer --cluster`: the bytes of one process, one bar."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
import tifffile
from PIL import Image as Pillow

from cervseg import contract
from cervseg.commands.clustering import for_workers
from cervseg.commands.opening import Opening
from cervseg.config.inference import TiledInferConfig
from cervseg.config.runtime import RuntimeConfig
from cervseg.errors import ConfigError
from cervseg.inference.outputs import OutputFolder
from cervseg.inference.parts import BandFolder

LARGE = "large_from=36503"  # the slide is just so large


@pytest.mark.slow
def test_two_workers_write_the_bytes_of_one_process(run, slide, *, finished, tmp_path, digests):
    small = tmp_path / "small.png"
    with Pillow.open(slide) as file:
        file.crop((0, 0, 90, 70)).save(small)
    images = [slide, small]
    settings = (LARGE,)

    alone = run("alone", *settings, images=images)
    shared = run("shared", *settings, images=images, cluster="2")

    assert digests(tmp_path / "shared") == digests(tmp_path / "alone")
    assert shared.notices == alone.notices
    assert (
        digests(tmp_path / "alone")["masks/slide.ome.tif"]
        == digests(finished[0])["masks/slide.ome.tif"]
    )


class Bars:
    """Writes down what its only bar is told."""

    def __init__(self):
        self.opened, self.total, self.done, self.seen, self.notes = [], 0, 0, [], []

    @contextmanager
    def bar(self, description, total):
        self.opened.append(description)
        self.total = total
        yield self

    def advance(self, steps=1, *, note=None):
        self.done += steps
        self.seen += [(self.done, self.total)] * bool(steps)
        self.notes += [note] * bool(note)

    def grow(self, steps, *, done=0):
        self.total += steps
        self.done += done
        self.seen.append((self.done, self.total))


@pytest.fixture
def near(monkeypatch):
    """A cluster of one worker, which is a thread of this process."""
    distributed = pytest.importorskip("distributed")
    from cervseg.commands import clustering

    @contextmanager
    def connect(where):
        with (
            distributed.LocalCluster(n_workers=int(where), threads_per_worker=1, processes=False,
                                     dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):  # fmt: skip
            yield client

    monkeypatch.setattr(clustering, "connect", connect)
    monkeypatch.setattr(clustering, "BANDS_A_TASK", 2)


@pytest.fixture
def three(slide, tmp_path):
    """Two large images of six bands, and a small one between them."""
    images = [tmp_path / name for name in ("a.tif", "b.png", "c.tif")]
    with Pillow.open(slide) as file:
        file.crop((0, 0, 90, 70)).save(images[1])
    for path in (images[0], images[2]):
        shutil.copy(slide, path)
    return images


@pytest.mark.usefixtures("near")
def test_the_one_bar_of_a_cluster_counts_finished_bands(run, three):
    progress = Bars()

    run("out", LARGE, images=three, cluster="1", progress=progress)

    assert progress.opened == ["bands"]
    begun, predicted = progress.seen[:3], progress.seen[3:]
    assert begun == [(0, 8), (1, 8), (1, 13)], "all are known before the first is predicted"
    assert predicted == [(done, 13) for done in (3, 5, 7, 9, 11, 13)]
    assert progress.notes == [f"{done} of 3 images" for done in (0, 1, 2, 3)]


@pytest.mark.usefixtures("near")
def test_a_built_in_model_is_opened_by_its_name(run, model, *, tmp_path, monkeypatch, digests):
    shutil.copytree(model, tmp_path / "package" / "small")
    monkeypatch.setattr(contract, "builtin_folder", lambda: tmp_path / "package")

    report = run("shared", by=Path("builtin:small"), cluster="1")

    assert not report.failures
    run("alone", by=Path("builtin:small"))
    assert digests(tmp_path / "shared") == digests(tmp_path / "alone")


def test_a_worker_started_elsewhere_finds_each_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    section = TiledInferConfig(roi=Path("regions.geojson"))
    models = (Path("runs/a"), Path("builtin:metaplastic"))
    opening = Opening("tiled-infer", section, models, OutputFolder(Path("out")), RuntimeConfig())

    told = for_workers(opening)

    assert told.section.roi == tmp_path / "regions.geojson"
    assert told.models == (tmp_path / "runs/a", Path("builtin:metaplastic"))
    assert told.output.folder == tmp_path / "out"


@pytest.mark.slow
@pytest.mark.usefixtures("near")
def test_the_bar_of_a_resumed_cluster_begins_with_the_bands_that_are_there(
    run, three, *, tmp_path, monkeypatch, digests
):
    add, settings = BandFolder.add, [LARGE]

    def add_three(self, number, band):
        if number == 3 and self.folder.name == "c.partial":
            raise MemoryError
        add(self, number, band)

    monkeypatch.setattr(BandFolder, "add", add_three)
    with pytest.raises(MemoryError):
        run("out", *settings, images=three)
    monkeypatch.setattr(BandFolder, "add", add)
    progress = Bars()
    run("out", *settings, images=three, cluster="1", resume=True, progress=progress)

    assert progress.opened == ["bands"]
    assert progress.seen == [(3, 6), (5, 6), (6, 6)], "of the image that was begun"
    assert progress.notes == ["2 of 3 images", "3 of 3 images"]
    run("alone", *settings, images=three)
    assert digests(tmp_path / "out") == digests(tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.usefixtures("near")
def test_the_bar_of_a_cluster_ends_full_where_an_image_fails(run, three):
    progress, content = Bars(), bytearray(three[0].read_bytes())
    with tifffile.TiffFile(three[0]) as file:
        page = file.pages[0]
        start, length = page.dataoffsets[7], page.databytecounts[7]
    content[start : start + length] = bytes(length)
    three[0].write_bytes(content)

    report = run("out", LARGE, images=three, cluster="1",
                 progress=progress)  # fmt: skip

    assert [failure.item for failure in report.failures] == [str(three[0])]
    assert progress.seen[-1] == (13, 13)


@pytest.mark.parametrize("cluster", ["0", "-1", "nonsense", "tcp://127.0.0.1:1"])
def test_a_cluster_that_is_none_is_refused(run, cluster):
    with pytest.raises(ConfigError, match="--cluster"):
        run("out", cluster=cluster)
