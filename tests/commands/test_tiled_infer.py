import hashlib
import json
import re
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from cervseg import tiled_infer
from cervseg.commands import forecasting
from cervseg.config.loader import load_config
from cervseg.errors import BudgetError, ConfigError, OutputError
from cervseg.inference import budget
from cervseg.inference.budget import Costs, Memory
from cervseg.inference.parts import BandFolder

HEIGHT, WIDTH = 211, 173


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A tiled TIFF of blobs, 0.5 micrometres a pixel."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (HEIGHT // 9 + 1, WIDTH // 9 + 1, 3), "uint8")
    large = np.asarray(Pillow.fromarray(small).resize((WIDTH, HEIGHT), Pillow.Resampling.BICUBIC))
    path = tmp_path_factory.mktemp("slides") / "slide.tif"
    tifffile.imwrite(path, large, photometric="rgb", tile=(64, 48), compression="deflate",
                     resolution=(20000, 20000), resolutionunit="CENTIMETER")  # fmt: skip
    return path


def call(model, images, output, *, settings=(), **how):
    base = ("tiled_infer.threshold=otsu", "tiled_infer.probabilities=true", "runtime.threads=2")
    config = load_config(None, [*base, *(f"tiled_infer.{s}" for s in settings)]).config
    return tiled_infer(config, model=[model], images=images, output=output, **how)


@pytest.fixture
def run(model, slide, tmp_path):
    """Runs into a folder below `tmp_path`, by default the model on the slide."""

    def run(output, *settings, images=(slide,), by=model, **how):
        return call(by, images, tmp_path / output, settings=settings, **how)

    return run


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def finished(model, slide, tmp_path_factory):
    """The output of a large image that nothing disturbed, and its report."""
    output = tmp_path_factory.mktemp("finished") / "out"
    return output, call(model, [slide], output, settings=["large_from=0"])


def test_a_large_image_has_the_pixels_and_objects_of_a_small_one(run, finished, tmp_path):
    output, report = finished
    small = run("out")

    mask = tifffile.imread(output / "masks/slide.ome.tif")
    with Pillow.open(tmp_path / "out/masks/slide.png") as file:
        np.testing.assert_array_equal(mask, np.asarray(file))
    for name in ("objects/slide.geojson", "objects/slide.csv", "summary.csv"):
        assert (output / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    assert report.results[0]["classes"] == small.results[0]["classes"]
    assert report.results[0]["classes"]["cell"]["objects"] > 3
    assert report.results[0]["tiles"] == 30
    assert 0.8 < report.results[0]["seam"] < 1.2
    assert not (output / "masks/slide.partial").exists()


def test_an_interrupted_run_goes_on_to_the_same_bytes(run, finished, tmp_path, *, monkeypatch):
    from cervseg.inference.parts import BandFolder

    output, add = tmp_path / "out", BandFolder.add

    def add_three(self, number, band):
        if number == 3:
            raise MemoryError  # as abrupt as anything
        add(self, number, band)

    monkeypatch.setattr(BandFolder, "add", add_three)
    with pytest.raises(MemoryError):
        run("out", "large_from=0")
    numbers = []
    monkeypatch.setattr(
        BandFolder, "add", lambda self, n, band: (numbers.append(n), add(self, n, band))
    )
    run("out", "large_from=0", resume=True)

    assert numbers == [3, 4, 5]
    assert digests(output) == digests(finished[0])


def test_bands_left_by_a_kill_after_the_last_file_are_removed(run, finished, tmp_path):
    run("out", "large_from=0")
    (tmp_path / "out/masks/slide.partial").mkdir()
    (tmp_path / "out/masks/slide.partial/00000.band").write_bytes(b"left")

    run("out", "large_from=0", resume=True)

    assert digests(tmp_path / "out") == digests(finished[0])
    assert not (tmp_path / "out/masks/slide.partial").exists()


@pytest.mark.parametrize("changed", ["image", "model", "config"])
def test_bands_of_something_else_are_not_gone_on_with(
    run, model, slide, *, tmp_path, monkeypatch, changed
):
    from cervseg.inference import assembly

    mine, image, output = tmp_path / "model", tmp_path / "slide.tif", tmp_path / "out"
    shutil.copytree(model, mine)
    shutil.copy(slide, image)

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(assembly.Assembly, "assemble", fail)
    with pytest.raises(MemoryError):
        run("out", "large_from=0", by=mine, images=[image])
    before = digests(output)
    settings = ["large_from=0"]
    if changed == "image":
        pixels = tifffile.imread(image)
        pixels[-1, -1] ^= 1
        tifffile.imwrite(image, pixels, photometric="rgb", tile=(64, 48))
    elif changed == "model":
        document = json.loads((mine / "contract.json").read_text())
        (mine / "contract.json").write_text(json.dumps({**document, "threshold": [0.4]}))
    else:
        settings.append("min_area=9")

    with pytest.raises(ConfigError) as caught:
        run("out", *settings, by=mine, images=[image], resume=True)

    assert {"image": "image", "model": "models", "config": "min_area"}[changed] in str(caught.value)
    assert "--overwrite" in (caught.value.hint or "")
    assert digests(output) == before


def test_shards_share_a_folder_and_cover_all_images(run, slide, tmp_path):
    slides = []
    for name in "abc":
        slides.append(tmp_path / f"{name}.tif")
        shutil.copy(slide, slides[-1])
    for shard in ("1/2", "2/2"):
        run("out", shard=shard, images=slides)

    masks = sorted(path.stem for path in (tmp_path / "out/masks").glob("*.png"))
    assert masks == ["a", "b", "c"]
    assert (tmp_path / "out/summary_1_of_2.csv").read_text().count("\n") == 3
    assert (tmp_path / "out/summary_2_of_2.csv").read_text().count("\n") == 2
    for shard, how, told in (
        ("1/2", {}, "has been here"),
        ("1/3", {}, "not shards of 3"),
        ("1/2", {"overwrite": True}, "other shards"),
    ):
        with pytest.raises((OutputError, ConfigError), match=told):
            run("out", shard=shard, **how, images=slides)
    with pytest.raises(ConfigError, match="min_area"):
        run("out", "min_area=9", shard="2/2", resume=True, images=slides)
    assert run("out", shard="2/2", resume=True, images=slides).exit_code == 0


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/2/3", "-1/2", ""])
def test_a_share_that_is_none_is_refused(run, tmp_path, shard):
    with pytest.raises(ConfigError, match="--shard"):
        run("out", shard=shard)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_forecasts_and_writes_nothing(run, tmp_path):
    report = run("out", "large_from=0", dry_run=True)

    (row,) = report.results
    assert (row["height"], row["width"], row["tiles"]) == (HEIGHT, WIDTH, 30)
    assert 10**8 < row["memory"] < 10**10 and row["disk"] > HEIGHT * WIDTH and row["seconds"] > 0
    assert not (tmp_path / "out").exists()


def test_too_little_memory_is_refused_with_what_would_do(run, tmp_path):
    with pytest.raises(BudgetError, match="'tiled_infer.max_ram' 1 MB is too little") as caught:
        run("out", "max_ram=1MB")
    assert "max_ram=" in (caught.value.hint or "")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def costs(monkeypatch):
    """Pretends that a process of 1 GB was measured, and a second pass that takes much more."""
    monkeypatch.setattr(budget, "PIECES", (60_000, 20_000, 12_000))
    monkeypatch.setattr(budget, "_SECOND_PASS", 10_000)

    def measured(**those):
        costs = Costs(**{"idle": 10**9, "kept": 0, "tile": 10**6, "seconds": 0.1, **those})
        monkeypatch.setattr(forecasting, "measure", lambda tools, image: costs)

    measured()
    return measured


@pytest.mark.parametrize("limit, piece", [("2GB", 60_000), ("1.25GB", 20_000), ("1.15GB", 12_000)])
def test_a_limit_that_needs_smaller_pieces_is_kept_with_the_same_bytes(
    run, finished, costs, *, tmp_path, limit, piece
):
    report = run("out", "large_from=0", f"max_ram={limit}")

    assert any(f"pieces of {piece} pixels" in notice for notice in report.notices)
    assert digests(tmp_path / "out") == digests(finished[0])


def test_a_reader_that_keeps_less_gives_the_same_bytes(
    run, finished, costs, *, tmp_path, monkeypatch
):
    monkeypatch.setattr(forecasting, "choices", lambda batch, least: [Memory(batch, spare=0)])
    report = run("out", "large_from=0", "max_ram=2GB")

    assert any("no spare cache" in notice for notice in report.notices)
    assert digests(tmp_path / "out") == digests(finished[0])


def test_a_limit_below_the_smallest_is_refused_and_the_one_it_names_works(run, costs, tmp_path):
    costs(tile=10**8)
    with pytest.raises(BudgetError, match=r"1\.01 GB is too little: \d+ MB are needed") as caught:
        run("out", "large_from=0", "max_ram=1.01GB")
    named = re.search(r"max_ram=(\d+MB)", caught.value.hint)[1]

    report = run("out", "large_from=0", f"max_ram={named}")

    assert report.exit_code == 0
    assert any("batches of 1, pieces of" in notice for notice in report.notices)


@pytest.mark.usefixtures("costs")
def test_a_broken_image_is_no_reason_to_measure_none(run, slide, tmp_path):
    broken = tmp_path / "broken.tif"
    broken.write_bytes(slide.read_bytes()[:200])

    report = run("out", "max_ram=2GB", images=[broken, slide])

    assert [failure.item for failure in report.failures] == [str(broken)]
    assert (tmp_path / "out/masks/slide.png").exists()
    assert run("none", "max_ram=2GB", images=[broken]).exit_code == 3


def test_a_resumed_run_keeps_the_batches_it_began_with(run, costs, *, tmp_path, monkeypatch):
    costs(tile=10**8)
    run("whole", "large_from=0", "max_ram=1.4GB")
    assert json.loads((tmp_path / "whole/inference.json").read_text())["batch_size"] == 3
    add = BandFolder.add

    def add_two(self, number, band):
        if number == 2:
            raise MemoryError
        add(self, number, band)

    monkeypatch.setattr(BandFolder, "add", add_two)
    with pytest.raises(MemoryError):
        run("out", "large_from=0", "max_ram=1.4GB")
    monkeypatch.setattr(BandFolder, "add", add)
    with pytest.raises(BudgetError, match=r"1\.20 GB is too little"):
        run("out", "large_from=0", "max_ram=1.2GB", resume=True)
    run("out", "large_from=0", resume=True)

    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_the_self_check_passes_and_fails(run, tmp_path):
    good = run("good", "self_check.windows=3")
    bad = run("bad", "self_check.windows=3", "overlap=4",
              "self_check.limit=1e-6")  # fmt: skip

    assert good.exit_code == 0 and good.results[0]["largest_difference"] < 1e-5
    assert any("largest difference to the whole image: " in notice for notice in good.notices)
    assert bad.exit_code == 6 and not list((tmp_path / "bad/masks").glob("*"))
    assert "the limit is 1e-06" in bad.failures[0].message


def test_outside_of_the_region_is_nothing_and_costs_nothing(run, tmp_path):
    report = run("out", "roi=[10, 20, 50, 60]", "threshold=0.5")
    all_of_it = run("all", "threshold=0.5")

    with Pillow.open(tmp_path / "out/masks/slide.png") as file:
        mask = np.asarray(file)
    with Pillow.open(tmp_path / "all/masks/slide.png") as file:
        whole = np.asarray(file)
    np.testing.assert_array_equal(mask[10:60, 20:80], whole[10:60, 20:80])
    assert mask.sum() == mask[10:60, 20:80].sum() > 0
    assert report.results[0]["skipped"] > 0.5 and all_of_it.results[0]["skipped"] == 0


def test_the_mask_of_a_level_is_smaller_and_objects_stay_in_pixels_of_the_image(run, tmp_path):
    run("out", "mask_level=1", "large_from=0")

    assert tifffile.imread(tmp_path / "out/masks/slide.ome.tif").shape == (106, 87)
    features = json.loads((tmp_path / "out/objects/slide.geojson").read_text())["features"]
    corners = np.concatenate([ring for f in features for ring in rings(f["geometry"])])
    assert corners[:, 0].max() > 0.8 * WIDTH and corners[:, 1].max() > 0.8 * HEIGHT


def rings(geometry):
    polygons = geometry["coordinates"]
    polygons = [polygons] if geometry["type"] == "Polygon" else polygons
    return [np.asarray(ring) for polygon in polygons for ring in polygon]


def test_an_unknown_scale_is_told_once_and_a_known_one_is_used(run, slide, tmp_path):
    copy = tmp_path / "b.tif"
    shutil.copy(slide, copy)
    unknown = run("out", images=[slide, copy])
    known = run("known", "scale=0.5")

    assert sum("scale of the training photographs" in notice for notice in unknown.notices) == 1
    assert not known.notices
    assert known.results[0]["tiles"] < unknown.results[0]["tiles"] / 3
    with pytest.raises(ConfigError, match="does not know its micrometres"):
        run("mpp", "mpp=0.5")


def test_a_model_that_knows_its_micrometres_takes_the_files(run, model, tmp_path):
    mine = tmp_path / "model"
    shutil.copytree(model, mine)
    document = json.loads((mine / "contract.json").read_text())
    (mine / "contract.json").write_text(json.dumps({**document, "mpp": 1.0}))

    as_filed = run("filed", by=mine)  # 0.5 in the file: half the size
    by_hand = run("hand", "scale=0.5")
    told = run("told", "mpp=1.0", by=mine)

    for name in ("masks/slide.png", "objects/slide.geojson"):
        assert (tmp_path / "filed" / name).exists()
    assert as_filed.results[0]["classes"] == by_hand.results[0]["classes"]
    assert as_filed.results[0]["tiles"] == by_hand.results[0]["tiles"]
    assert told.results[0]["tiles"] == 30


def test_a_region_that_cannot_be_read_fails_alone(run, slide, tmp_path):
    broken = tmp_path / "broken.tif"
    content = bytearray(slide.read_bytes())
    with tifffile.TiffFile(slide) as file:
        page = file.pages[0]
        start, length = page.dataoffsets[7], page.databytecounts[7]
    content[start : start + length] = bytes(length)
    broken.write_bytes(content)

    report = run("out", "large_from=0", images=[broken, slide])

    assert report.exit_code == 3
    assert [failure.item for failure in report.failures] == [str(broken)]
    assert "\n" not in report.failures[0].message
    assert (tmp_path / "out/masks/slide.ome.tif").is_file()
    assert not (tmp_path / "out/masks/broken.ome.tif").exists()


@pytest.mark.slow
def test_two_workers_write_the_bytes_of_one_process(run, slide, *, finished, tmp_path):
    small = tmp_path / "small.png"
    with Pillow.open(slide) as file:
        file.crop((0, 0, 90, 70)).save(small)
    images = [slide, small]
    settings = (f"large_from={HEIGHT * WIDTH}",)

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

    run("out", f"large_from={HEIGHT * WIDTH}", images=three, cluster="1", progress=progress)

    assert progress.opened == ["bands"]
    begun, predicted = progress.seen[:3], progress.seen[3:]
    assert begun == [(0, 8), (1, 8), (1, 13)], "all are known before the first is predicted"
    assert predicted == [(done, 13) for done in (3, 5, 7, 9, 11, 13)]
    assert progress.notes == [f"{done} of 3 images" for done in (0, 1, 2, 3)]


@pytest.mark.slow
@pytest.mark.usefixtures("near")
def test_the_bar_of_a_resumed_cluster_begins_with_the_bands_that_are_there(
    run, three, *, tmp_path, monkeypatch
):
    from cervseg.inference.parts import BandFolder

    add, settings = BandFolder.add, [f"large_from={HEIGHT * WIDTH}"]

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

    report = run("out", f"large_from={HEIGHT * WIDTH}", images=three, cluster="1",
                 progress=progress)  # fmt: skip

    assert [failure.item for failure in report.failures] == [str(three[0])]
    assert progress.seen[-1] == (13, 13)


@pytest.mark.parametrize("cluster", ["0", "-1", "nonsense", "tcp://127.0.0.1:1"])
def test_a_cluster_that_is_none_is_refused(run, cluster):
    with pytest.raises(ConfigError, match="--cluster"):
        run("out", cluster=cluster)
