"""The report: what it says, and that nothing from files becomes markup."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

import cervseg
from cervseg.classes import Classes
from cervseg.errors import ConfigError, DataError, OutputError
from cervseg.files import write_csv, write_json
from cervseg.grid import Window
from cervseg.images.overlays import write_picture
from cervseg.reporting import embedded
from cervseg.reporting.charts import Bins, sweep_charts
from cervseg.reporting.comparison import compare
from cervseg.reporting.pictures import Compared, draw_cell, write_layers
from cervseg.reporting.scored import read_scores
from cervseg.reporting.scores import Evaluation, write_evaluation
from cervseg.reporting.subjects import read_subjects
from cervseg.scoring.calibration import ProbabilityCounts
from cervseg.scoring.matching import sort_objects
from cervseg.scoring.summary import score_image, summarize

HOSTILE = '<img src=x onerror=alert(1)>"&'
CLASSES = Classes.of({HOSTILE: "#00ff00"})
NAMES = ("field_9", HOSTILE, "field_10")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def evaluation(folder, *, shift=0, names=NAMES, heading="test: 3 images"):
    """Three small fields whose prediction is shifted, written as `evaluate` does."""
    rows, empty, objects = [], [], []
    counts = ProbabilityCounts()
    for number, name in enumerate(names):
        true, guess = np.zeros((2, 61, 83), np.uint8)
        true[10:40, 10:45] = 1
        guess[10:40, 10 + shift + number : 45 + shift + number] = 1
        rows.append([score_image(true, guess, 1)])
        empty.append([score_image(true, 0 * true, 1)])
        objects += [(name, HOSTILE, row) for row in sort_objects(true == 1, guess == 1)]
        counts.add(true == 1, np.where(guess, 0.9, 0.1).astype(np.float32))
    summaries = {HOSTILE: summarize([r[0] for r in rows], [r[0] for r in empty], seed=0,
                                    resamples=100)}  # fmt: skip
    write_evaluation(
        folder,
        Evaluation(
            heading, "test", 0, names, rows, summaries, {}, [[1, 0], [0, 1]], 2.0,
            notes={"settings": {"mode": "tiled"}, "failed": []}, counts={HOSTILE: counts},
            objects=objects,
        ),
    )  # fmt: skip
    compared = Compared(np.full((61, 83, 3), 200, np.uint8), true, guess)
    write_layers(folder / "pictures" / "worst1_field_9", compared, CLASSES)
    write_picture(folder / "cells" / "missed1_field_9.jpg", draw_cell(compared, CLASSES))
    return folder


class Tags(HTMLParser):
    """Collects elements and words."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def page_of(folder):
    return cervseg.report([folder]).paths[0].read_text()


def test_the_page_holds_everything_and_needs_nothing(tmp_path):
    page = page_of(evaluation(tmp_path / "e"))

    tags = Tags(page)
    sources = [a[key] for _, a in tags.tags for key in ("src", "href") if key in a]
    assert sources and all(source.startswith(("data:", "#")) for source in sources)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", page)
    assert "default-src 'none'" in page
    for picture in (s for s in sources if s.startswith("data:")):
        head, _, body = picture.partition(",")
        assert base64.b64decode(body)[:4] in (b"\xff\xd8\xff\xe0", b"\x89PNG"), head
    images = [attrs for tag, attrs in tags.tags if tag == "img"]
    assert len(images) == 4 and all(attrs["alt"] for attrs in images)
    assert sum(tag == "svg" for tag, _ in tags.tags) == 3


def test_nothing_from_files_becomes_markup(tmp_path):
    tags = Tags(page_of(evaluation(tmp_path / "e")))

    assert HOSTILE in {word.strip() for word in tags.words}
    assert not [attrs for tag, attrs in tags.tags if "onerror" in attrs or attrs.get("src") == "x"]


HOSTILE_COLUMN = '--></svg><script>alert("1")</script>$\\frac$'


def test_nothing_from_a_table_becomes_part_of_a_drawing(tmp_path):
    write_csv(tmp_path / "history.csv", ("epoch", HOSTILE_COLUMN, f"val_{HOSTILE_COLUMN}"),
              [(1, 2.0, 1.5), (2, 1.0, 1.2)])  # fmt: skip
    columns = ("temperature", "class", "mean", "share")
    bins = [(1.0, HOSTILE_COLUMN, 0.1, 0.2), (1.5, HOSTILE_COLUMN, 0.9, 0.7)]
    write_csv(tmp_path / "calibration.csv", columns, bins)

    page = page_of(tmp_path)

    assert page.count("<svg ") == 2 and "alert" in page
    assert [tag for tag, _ in Tags(page).tags].count("script") == 1  # ours
    assert "<script>alert" not in page


def test_names_that_are_no_utf_8_and_control_characters_are_shown(tmp_path):
    name = "f\udce9 \x1b[2J"
    write_csv(tmp_path / "history.csv", ("epoch", name), [(1, 2.0), (2, 1.0)])
    (tmp_path / "run.json").write_text(json.dumps({"format": 1, "seed": "\ud800"}))

    page = page_of(tmp_path)

    assert "f\\udce9 \\x1b[2J over epochs" in page and "\\ud800" in page


def test_of_very_many_curves_the_first_are_drawn(tmp_path):
    names = [f"metric{i}" for i in range(60)]
    write_csv(tmp_path / "history.csv", ("epoch", *names), [(1, *range(60)), (2, *range(60))])

    assert len(read_subjects(tmp_path)[0].charts) == 40


def test_the_worst_image_comes_first(tmp_path):
    page = page_of(evaluation(tmp_path / "e"))

    table = page[page.index('class="sortable"') :]
    order = [table.index(name) for name in ("field_10", "&lt;img", "field_9")]
    assert order == sorted(order)


def test_evaluations_without_an_image_in_common_are_told(tmp_path):
    first = evaluation(tmp_path / "a")
    other = evaluation(tmp_path / "b", names=("another",))

    compared = compare([*read_subjects(first), *read_subjects(other)])

    assert not compared.table.rows
    assert compared.note.endswith(f" No image that the first has scored has a score in {other}.")


def test_two_evaluations_are_compared_by_the_images_of_both(tmp_path):
    names = tuple(f"field_{number}" for number in range(7))
    better = evaluation(tmp_path / "a", names=names)
    worse = evaluation(tmp_path / "b", shift=6, names=(*names[:6], "another"))

    subjects = [*read_subjects(better), *read_subjects(worse)]
    rows = {row[2]: row for row in compare(subjects).table.rows}

    assert rows["dice"][0] == str(worse) and rows["dice"][5] == "6"
    assert float(rows["dice"][3]) < 0 and rows["dice"][6] == "lower"
    assert rows["cell recall"][6] == "none to be told"
    assert compare(subjects[:1]) is None
    page = cervseg.report([better, worse], output=tmp_path / "both.html").paths[0].read_text()
    assert "Side by side" in page and str(worse) in page


def test_a_comparison_is_told_on_the_screen_and_to_programs(tmp_path):
    names = tuple(f"field_{number}" for number in range(7))
    better = evaluation(tmp_path / "a", names=names)
    worse = evaluation(tmp_path / "b", shift=6, names=names)

    told = cervseg.report([better, worse], output=tmp_path / "both.html")

    dice = next(one for one in told.results if one["score"] == "dice")
    assert (dice["first"], dice["evaluation"]) == (str(better), str(worse))
    assert (dice["class"], dice["images"], dice["verdict"]) == (HOSTILE, 7, "lower")
    assert dice["low"] <= dice["difference"] <= dice["high"] < 0
    [table] = told.tables
    shown = next(row for row in table.rows if row[2] == "dice")
    assert shown[3] == f"{dice['difference']:+.3f}" and shown[6] == "lower"
    assert len(table.rows) == len(told.results)
    assert "Mean difference to the first" in told.notices[0]
    alone = cervseg.report([better])
    assert not alone.results and not alone.tables and not alone.notices


def test_five_images_are_too_few_for_a_verdict(tmp_path):
    names = tuple(f"field_{number}" for number in range(5))
    one = evaluation(tmp_path / "a", names=names)
    other = evaluation(tmp_path / "b", shift=6, names=names)

    rows = compare([*read_subjects(one), *read_subjects(other)]).table.rows

    assert {row[6] for row in rows} == {"too few images"}


def test_images_of_one_name_but_another_truth_are_not_compared(tmp_path):
    one, other = evaluation(tmp_path / "a"), evaluation(tmp_path / "b")
    document = json.loads((other / "scores.json").read_text())
    document["classes"][0]["images"][0]["empty_accuracy"] = 0.5
    (other / "scores.json").write_text(json.dumps(document))

    compared = compare([*read_subjects(one), *read_subjects(other)])

    assert {row[5] for row in compared.table.rows} == {"2"}
    assert compared.note.endswith(
        f" since what is true there differs under the same name: {NAMES[0]}."
    )


def test_where_only_the_limit_of_a_cell_differs_the_pixels_are_compared(tmp_path):
    one, other = evaluation(tmp_path / "a"), evaluation(tmp_path / "b")
    document = json.loads((other / "scores.json").read_text())
    for image in document["classes"][0]["images"]:
        image["cells"], image["specks"] = image["specks"], image["cells"]
    (other / "scores.json").write_text(json.dumps(document))

    compared = compare([*read_subjects(one), *read_subjects(other)])

    assert {row[2] for row in compared.table.rows} == {"dice", "IoU"}


def test_each_file_scale_has_scores_of_its_own_on_the_page(tmp_path):
    folder = evaluation(tmp_path / "e")
    document = json.loads((folder / "scores.json").read_text())
    record = document["classes"][0]
    record["apart"] = {"full size": record["scores"], "a pixel of 6 x 8": record["scores"]}
    (folder / "scores.json").write_text(json.dumps(document))

    [subject] = read_subjects(folder)

    labels = [one.label for one in subject.headline]
    assert f"{HOSTILE}, full size, dice" in labels and f"{HOSTILE}, dice" not in labels
    titles = [table.title for table in subject.tables]
    assert titles.count(f"Scores: {HOSTILE}, a pixel of 6 x 8") == 1
    assert titles[-1] == "Taken for one another"


def test_too_many_pictures_leave_room_for_cells_and_are_told(tmp_path, monkeypatch):
    folder = evaluation(tmp_path / "e")
    for kind in ("worst2", "best1", "best2"):
        for part in ("jpg", "truth.png", "prediction.png"):
            shutil.copy(folder / "pictures" / f"worst1_field_9.{part}",
                        folder / "pictures" / f"{kind}_field_9.{part}")  # fmt: skip
    layers = sum(path.stat().st_size for path in folder.glob("pictures/worst1*"))
    cell = (folder / "cells" / "missed1_field_9.jpg").stat().st_size
    monkeypatch.setattr(embedded, "MOST_BYTES", cell + 2 * layers)
    monkeypatch.setattr(embedded, "CELL_BYTES", cell)

    [subject] = read_subjects(folder)

    assert [one.caption.split(":")[0] for one in subject.fields] == ["worst 1", "best 1"]
    assert [len(kind.pictures) for kind in subject.cells] == [1]
    assert any(warning.startswith("2 pictures are too much") for warning in subject.warnings)


@pytest.mark.parametrize("change", [{"classes": []}, {"failed": 5}, {"confusion": {"pixels": 1}}])
def test_a_broken_table_of_scores_is_told(tmp_path, change):
    folder = evaluation(tmp_path / "e")
    document = json.loads((folder / "scores.json").read_text())
    (folder / "scores.json").write_text(json.dumps({**document, **change}))

    with pytest.raises(DataError, match="not a table of scores"):
        read_subjects(folder)


def test_a_report_is_replaced_and_nothing_else_is(tmp_path):
    folder, other = evaluation(tmp_path / "e"), tmp_path / "notes.html"
    other.write_text("mine")

    page_of(folder)
    page_of(folder)
    with pytest.raises(OutputError, match="is no report"):
        cervseg.report([folder], output=other)
    with pytest.raises(OutputError, match="is no report"):
        cervseg.report([folder], output=tmp_path)

    assert other.read_text() == "mine"


def test_a_score_that_an_image_lacks_is_named(tmp_path):
    folder = evaluation(tmp_path / "e")
    document = json.loads((folder / "scores.json").read_text())
    del document["classes"][0]["images"][0]["assd_um"]
    (folder / "scores.json").write_text(json.dumps(document))

    with pytest.raises(DataError, match=r"not a table of scores: KeyError\('assd_um'\)"):
        read_scores(0, folder / "scores.json")


def test_what_is_no_run_and_no_evaluation_is_refused(tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps({"format": 1, "classes": [{"class": 3}]}))

    with pytest.raises(DataError, match="no evaluation"):
        cervseg.report([tmp_path.parent / "nowhere"])
    with pytest.raises(DataError, match="not a table of scores"):
        cervseg.report([tmp_path])
    with pytest.raises(ConfigError, match="needs a folder"):
        cervseg.report([])


def test_of_a_cross_validation_the_folds_are_put_together(tmp_path):
    parts = [evaluation(tmp_path / f"fold{k}" / "evaluation" / "test") for k in (0, 1)]
    shutil.copy(parts[0] / "scores.json", tmp_path / "folds.json")

    (subject,) = read_subjects(tmp_path)

    one = read_subjects(parts[0])[0]
    assert [int(n) for n in subject.tables[1].rows[0][1:]] == [
        2 * int(n) for n in one.tables[1].rows[0][1:]
    ]
    assert len(subject.fields) == 2 * len(one.fields) == 2
    assert [chart.caption for chart in subject.charts] == [chart.caption for chart in one.charts]


def test_of_an_output_the_places_to_look_at_first_are_shown_worst_first(tmp_path):
    (tmp_path / "inference.json").write_text("{}")
    columns = ("image", "class", "objects", "pixels", "tiles", "skipped", "seam")
    write_csv(tmp_path / "summary.csv", columns,
              [("a/b", HOSTILE, 2, 90, 6, 0, 1.0312), ("c", HOSTILE, 0, 0, 1, 0, "")])  # fmt: skip
    write_csv(
        tmp_path / "look_first.csv",
        ("pixels_expected_wrong", "image", "rank_in_image", "top", "left", "height", "width"),
        [
            (9.5, "a/b", 2, 0, 256, 256, 256),
            (80.0, "c", 1, 0, 0, 256, 256),
            (3, "gone", 1, 0, 0, 1, 1),
        ],
    )
    for name in ("a/b.2.jpg", "c.1.jpg"):
        write_picture(tmp_path / "look_first" / name, np.full((32, 32, 3), 90, np.uint8))

    (subject,) = read_subjects(tmp_path)

    assert [row[-1] for row in subject.tables[0].rows] == ["1.0312", ""], "the seams"
    (places,) = subject.cells
    assert [cell.caption.partition(",")[0] for cell in places.pictures] == ["c", "a/b"]
    assert "80.0 pixels expected to be wrong" in places.pictures[0].caption
    page = page_of(tmp_path)
    assert "Look here first" in page and HOSTILE not in page


def output_of(folder, image):
    """An output folder whose ranking names one place."""
    folder.mkdir()
    (folder / "inference.json").write_text("{}")
    columns = ("image", "class", "objects", "pixels", "tiles", "skipped", "seam")
    write_csv(folder / "summary.csv", columns, [])
    write_csv(folder / "look_first.csv",
              ("pixels_expected_wrong", "image", "rank_in_image", "top", "left"),
              [(9.5, image, 1, 0, 0)])  # fmt: skip
    return folder


def test_a_ranking_does_not_get_pictures_from_elsewhere_into_the_page(tmp_path):
    write_picture(tmp_path / "mine.1.jpg", np.full((32, 32, 3), 90, np.uint8))

    for number, name in enumerate(("../../mine", str(tmp_path / "mine"))):
        with pytest.raises(DataError, match="not a ranking of places: a picture called"):
            cervseg.report([output_of(tmp_path / f"{number}", name)])


def test_a_page_quotes_nothing_that_a_link_in_a_run_leads_to(tmp_path):
    """A page is sent around; a stranger's run must not get a key of its reader into it."""
    run, secret = tmp_path / "run", tmp_path / "secret"
    run.mkdir()
    secret.write_text("s3cret")
    (run / "run.json").write_text(json.dumps({"format": 1}))
    (run / "log.txt").symlink_to(secret)

    with pytest.raises(DataError, match="log.txt: a link that leads out of its folder"):
        cervseg.report([run])

    assert not (run / "report.html").exists()


def test_the_tenth_picture_comes_after_the_ninth(tmp_path):
    folder = evaluation(tmp_path / "e")
    for kind, number in (("best", 1), ("worst", 10), ("worst", 9)):
        for suffix in (".jpg", ".truth.png", ".prediction.png"):
            source = folder / "pictures" / f"worst1_field_9{suffix}"
            shutil.copy(source, folder / "pictures" / f"{kind}{number}_a_b{suffix}")

    captions = [field.caption for field in read_subjects(folder)[0].fields]

    assert captions == ["worst 1: field_9", "worst 9: a_b", "worst 10: a_b", "best 1: a_b"]


def test_a_broken_table_is_named(tmp_path):
    folder = evaluation(tmp_path / "e")
    (folder / "probabilities.csv").write_text("class,probability,pixels,true\ncell,x,1,1\n")

    with pytest.raises(DataError, match="not a table of probabilities"):
        cervseg.report([folder])


def test_a_run_shows_its_history_its_config_and_that_it_has_not_ended(tmp_path):
    record = {"format": 1, "seed": 3, "ended": None, "peak_memory": 1_514_000_000}
    (tmp_path / "run.json").write_text(json.dumps(record))
    (tmp_path / "config.yaml").write_text("train: {epochs: 2}  # <b>\n")
    write_csv(
        tmp_path / "history.csv", ("epoch", "loss", "val_loss"), [(1, 2.0, 1.5), (2, 1.0, 1.2)]
    )

    page = page_of(tmp_path)

    assert "the training has not ended" in page
    assert "1.51 GB" in page and "1514000000" not in page
    assert "loss over epochs; at the end training 1, validation 1.2" in page
    assert "train: {epochs: 2}  # &lt;b&gt;" in page


def test_a_run_tells_its_data_and_that_nothing_leaks(tmp_path):
    counts = {"images": 12, "groups": 4, "tiles": 77}
    data = {"splits": {"train": counts, "test": {**counts, "tiles": 0}}, "alike": ["a like <b>"]}
    write_json(tmp_path / "run.json", {"ended": "epochs", "data": data})

    page = page_of(tmp_path)
    assert "No group and no picture, by its decoded pixels, is in two of them. a like &lt;b" in page
    assert '<th scope="row">train</th><td>12</td><td>4</td><td>77</td>' in page

    leak = {"reason": "one slide", "found": ["x"]}
    write_json(tmp_path / "run.json", {"ended": "epochs", "data": data, "allowed_leak": leak})
    page = page_of(tmp_path)
    assert "A leak was allowed: reason: one slide" in page and "No group" not in page


def test_a_run_that_drew_from_fields_tells_so_and_of_no_times_it_was_resumed(tmp_path):
    counts = {"images": 12, "groups": 4, "tiles": 0}
    data = {"splits": {"train": counts, "valid": {**counts, "tiles": 9}}}
    write_json(tmp_path / "run.json", {"ended": "epochs", "data": data, "resumed": []})

    page = page_of(tmp_path)

    assert "Where there are no tiles, windows are drawn from the images." in page
    assert '<th scope="row">train</th><td>12</td><td>4</td><td>-</td>' in page
    assert '<th scope="row">valid</th><td>12</td><td>4</td><td>9</td>' in page
    assert "resumed" not in page


def test_an_evaluation_tells_with_how_many_images_of_the_training_it_was_compared(tmp_path):
    folder = evaluation(tmp_path / "e")
    document = json.loads((folder / "scores.json").read_text())
    assert "the model was fitted on" not in page_of(folder)

    (folder / "scores.json").write_text(json.dumps({**document, "compared": 54}))

    assert "none of them is among the 54 that the model was fitted on" in page_of(folder)


def test_an_evaluation_tells_in_words_of_a_leak_that_was_allowed(tmp_path):
    folder = evaluation(tmp_path / "e")
    document = json.loads((folder / "scores.json").read_text())
    leak = {"reason": "one slide", "found": ["x"]}
    (folder / "scores.json").write_text(json.dumps({**document, "allowed_leak": leak}))

    (subject,) = read_subjects(folder)

    assert subject.warnings == ("a leak was allowed: reason: one slide\nfound: x",)


@pytest.mark.parametrize(
    ("heading", "told"),
    [
        ("test: 3 images, tiled, runs/leaky_relu refitted", False),
        ("data with a leak that was allowed: test: 3 images", True),
        ("data the model was fitted on: train: 3 images", True),
    ],
)
def test_scores_that_flatter_are_told_by_how_they_came_about_not_by_a_name(tmp_path, heading, told):
    page = page_of(evaluation(tmp_path / "e", heading=heading))

    assert ("these scores say little of new images" in page) == told


def test_the_sweep_is_that_of_the_pixels():
    curve, over = sweep_charts("cell", Bins([0.1, 0.4, 0.9], [60, 25, 15], [0, 10, 15]))

    assert "highest 0.769 at 0.400" in over.caption  # 2 * 25 / (40 + 25); at 0.9 it is 0.75
    assert "average precision 0.850" in curve.caption  # 0.4 * 25 / 40 + 0.6 * 1
    assert "currentColor" in curve.svg and "#010203" not in curve.svg


def test_a_window_around_a_cell_stays_inside():
    from cervseg.reporting.pictures import around

    assert around(Window(0, 70, 10, 13), 61, 83) == Window(0, 64, 16, 19)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_sorting_slider_and_zoom_work_in_a_browser_without_an_error(tmp_path):
    page = page_of(evaluation(tmp_path / "e"))
    trial = """<script>
      const button = document.querySelector("table.sortable th:nth-child(2) button");
      const first = () => document.querySelector("table.sortable tbody th").textContent;
      const seen = [first()];
      button.click(); seen.push(first());
      button.click(); seen.push(first());
      const slider = document.querySelector("input[type=range]");
      slider.value = 20; slider.dispatchEvent(new Event("input"));
      seen.push(document.querySelector(".layers").style.getPropertyValue("--cut"));
      document.querySelector("[data-toggle=bare]").click();
      seen.push(getComputedStyle(document.querySelector(".over")).visibility);
      const zoom = document.querySelectorAll("figure.field input")[1];
      zoom.value = 300; zoom.dispatchEvent(new Event("input"));
      const stage = document.querySelector(".stage");
      seen.push(Math.round(document.querySelector(".layers").offsetWidth / stage.clientWidth));
      seen.push(stage.scrollLeft > 0);
      document.body.dataset.seen = JSON.stringify(seen);
    </script></body>"""
    copy = tmp_path / "trial.html"
    copy.write_text(page.replace("</body>", trial))

    ran = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--dump-dom",
            copy.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip

    assert "CONSOLE" not in ran.stderr
    seen = next(a["data-seen"] for tag, a in Tags(ran.stdout).tags if tag == "body")
    assert json.loads(seen) == ["field_10", "field_10", "field_9", "20%", "hidden", 3, True]
