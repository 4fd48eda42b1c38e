import json
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from cervseg.errors import ConfigError, DataError, OutputError
from cervseg.files import read_csv
from cervseg.inference.parts import BandFolder

HEIGHT, WIDTH = 211, 173


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


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    run, finished, tmp_path, *, monkeypatch, digests
):

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


def test_bands_left_by_a_kill_after_the_last_file_are_removed(run, finished, tmp_path, *, digests):
    run("out", "large_from=0")
    (tmp_path / "out/masks/slide.partial").mkdir()
    (tmp_path / "out/masks/slide.partial/00000.band").write_bytes(b"left")

    run("out", "large_from=0", resume=True)

    assert digests(tmp_path / "out") == digests(finished[0])
    assert not (tmp_path / "out/masks/slide.partial").exists()


@pytest.mark.parametrize("changed", ["image", "model", "config"])
def test_bands_of_something_else_are_not_gone_on_with(
    run, model, slide, *, tmp_path, monkeypatch, changed, digests
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


def test_a_dry_run_forecasts_what_it_can_open(run, slide, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")

    report = run("out", dry_run=True, images=[broken, slide])

    assert [row["image"] for row in report.results] == [str(slide)] and report.exit_code == 3
    assert [failure.item for failure in report.failures] == [str(broken)]


def test_a_dry_run_of_a_shard_without_an_image_forecasts_nothing(run):
    report = run("out", dry_run=True, shard="2/2")

    assert report.results == report.tables == () and report.exit_code == 0


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


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [("true", {"detection"}), ("annotations", {"annotation"}), ("false", None)],
)
def test_objects_are_detections_or_annotations_or_not_written(*, run, tmp_path, asked, kinds):
    run("out", f"objects={asked}")

    path = tmp_path / "out/objects/slide.geojson"
    assert path.is_file() == (kinds is not None)
    if kinds:
        features = json.loads(path.read_text())["features"]
        assert {f["properties"]["objectType"] for f in features} == kinds


def test_without_overlays_there_are_masks_and_no_picture(run, tmp_path):
    with_them, without = run("with"), run("without", "overlays=false")

    assert (tmp_path / "with/overview.png").is_file()
    assert not (tmp_path / "without/overview.png").exists()
    assert not (tmp_path / "without/overlays").exists()
    assert with_them.results[0]["overlay"] and without.results[0]["overlay"] is None
    masks = [(tmp_path / name / "masks/slide.png").read_bytes() for name in ("with", "without")]
    assert masks[0] == masks[1]


@pytest.mark.parametrize("large", [False, True])
def test_places_to_look_at_first_are_ranked_over_all_images(*, run, slide, tmp_path, large):
    copy = tmp_path / "b.tif"
    shutil.copy(slide, copy)
    setting = "large_from=0" if large else "large_from=1000000"

    run("out", "look_first=3", setting, images=[slide, copy])

    features = json.loads((tmp_path / "out/look_first/slide.geojson").read_text())["features"]
    assert [f["properties"]["measurements"]["Rank"] for f in features] == [1]  # one square holds it
    corners = np.asarray(features[0]["geometry"]["coordinates"][0])
    assert corners.min(axis=0).tolist() == [0, 0]
    assert corners.max(axis=0).tolist() == [WIDTH, HEIGHT]
    probabilities = run("probable", setting)
    path = tmp_path / ("probable/probabilities/slide" + (".ome.tif" if large else ".png"))
    p = (tifffile.imread(path) if large else np.asarray(Pillow.open(path))) / 65535
    mask = probabilities.paths[0]
    there = (tifffile.imread(mask) if large else np.asarray(Pillow.open(mask))).astype(bool)
    expected = np.where(there, 1 - p, p).sum()
    told = features[0]["properties"]["measurements"]["Pixels expected to be wrong"]
    assert told == pytest.approx(expected, abs=1)
    rows = (tmp_path / "out/look_first.csv").read_text().splitlines()
    assert rows[0].startswith("pixels_expected_wrong,image,rank_in_image")
    assert [row.split(",")[1] for row in rows[1:]] == ["b", "slide"]
    with Pillow.open(tmp_path / "out/look_first/slide.1.jpg") as picture:
        assert picture.size == (WIDTH, HEIGHT)


def test_what_tiles_may_change_is_told_where_there_is_more_than_one(run, slide):
    one = run("one", "tile_size=256", "overlap=0")
    several = run("several", "tile_size=64", "overlap=0")

    told = [sum("overlap 0 is under twice" in n for n in each.notices) for each in (one, several)]
    assert ([each.results[0]["tiles"] == 1 for each in (one, several)], told) == (
        [True, False], [0, 1],
    )  # fmt: skip


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
    assert not (tmp_path / "mpp").exists()


def test_micrometres_beside_a_scale_only_measure(run, slide, tmp_path):
    by_file = run("file", "scale=0.5")  # 0.5 micrometres, by the file
    by_hand = run("hand", "scale=0.5", "mpp=1.0")

    assert by_hand.results[0]["tiles"] == by_file.results[0]["tiles"]
    file, hand = (
        [float(row["area_um2"]) for row in read_csv(path, ("area_um2",), what="objects")]
        for path in (tmp_path / out / "objects/slide.csv" for out in ("file", "hand"))
    )
    assert file
    assert hand == pytest.approx([4 * area for area in file], rel=1e-3)


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


def test_what_to_type_next_is_told_of_masks_that_there_are(run, slide, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")

    assert run("none", images=[broken]).next_command is None
    some = run("some", images=[broken, slide]).next_command
    assert some is not None and str(tmp_path / "some/masks") in some


# --- resumed with something else; regions


def test_a_mask_of_another_image_of_that_name_is_not_taken_for_the_new_ones(
    run, slide, *, tmp_path, digests
):
    image = tmp_path / "slide.tif"
    shutil.copy(slide, image)
    run("out", images=[image])
    before = digests(tmp_path / "out")
    tifffile.imwrite(image, 255 - tifffile.imread(slide), photometric="rgb")

    with pytest.raises(ConfigError) as caught:
        run("out", images=[image], resume=True)

    assert str(caught.value) == (
        f"{image}: not the image that its mask in {tmp_path}/out was made of"
    )
    assert digests(tmp_path / "out") == before


def test_a_broken_report_fails_its_image_alone(run, slide, tmp_path):
    other = tmp_path / "b.tif"
    shutil.copy(slide, other)
    run("out", images=[slide, other])
    (tmp_path / "out/images/slide.json").write_text("{")

    report = run("out", images=[slide, other], resume=True)

    assert report.exit_code == 3 and [path.stem for path in report.paths] == ["b"]
    assert "slide.json" in report.failures[0].message


def test_an_image_whose_report_is_lost_is_done_again(run, tmp_path):
    run("out")
    (tmp_path / "out/images/slide.json").unlink()

    assert run("out", resume=True).exit_code == 0
    assert (tmp_path / "out/images/slide.json").is_file()


def outline(path, box):
    top, left, bottom, right = box
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "geometry": geometry, "properties": {}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return f"roi={path}"


def test_other_regions_in_a_file_of_the_same_name_are_other_settings(run, tmp_path):
    roi = outline(tmp_path / "r.geojson", (0, 0, 100, 100))
    run("out", "large_from=0", roi)
    outline(tmp_path / "r.geojson", (0, 0, 200, 150))

    with pytest.raises(ConfigError, match="can't resume with other roi"):
        run("out", "large_from=0", roi, resume=True)


def test_regions_that_are_missing_end_the_run_before_it_begins(run, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.geojson"):
        run("out", f"roi={tmp_path}/nowhere.geojson")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("large_from", [0, 10**6])
def test_nobody_is_sent_to_look_outside_the_regions(run, tmp_path, large_from):
    def doubted(output, *settings):
        run(output, f"large_from={large_from}", "look_first=9", *settings)
        path = tmp_path / output / "look_first/slide.geojson"
        (place,) = json.loads(path.read_text())["features"]  # the slide is one square
        return place["properties"]["measurements"]["Pixels expected to be wrong"]

    inside = doubted("inside", outline(tmp_path / "r.geojson", (100, 60, 180, 170)))

    assert 0 < inside < 0.5 * doubted("all"), "a quarter of the slide"


def test_what_is_left_out_makes_no_seams(run, tmp_path):
    report = run("out", outline(tmp_path / "r.geojson", (100, 60, 180, 170)))

    assert report.results[0]["skipped"] > 0 and report.results[0]["seam"] is None
