"""That the rivals are what they are said to be and the tables say what they should; no times."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.grid import TileGrid
from cervseg.images.photo import Photo

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), "uint8")


def brightness(tiles):  # stands in for a network: acts on each pixel alone
    return tiles[..., :1].astype(np.float32) / 255


def turns(*seconds, forward=0.1):
    return [{"road": one, "forward": forward} for one in seconds]


def test_the_naive_loop_gives_each_pixel_its_own_answer(script):
    pixels = noise(75, 101)
    model = SimpleNamespace(predict=lambda x, verbose: x[..., :1] / 255)

    answer = script("tiled_naive").naive_loop(model, TileGrid(80, 112, 32, 16, 16))(pixels)

    np.testing.assert_allclose(answer, 1 / (1 + np.exp(-brightness(pixels))), atol=1e-6)


def test_resized_tiles_without_margins_are_pasted_unchanged(script):
    pixels = noise(75, 101)

    parts = script("tiled_seams").resized_tiles(Photo(pixels), brightness, size=32, margin=0)

    assert (parts.grid.height, parts.grid.width) == (96, 128)
    np.testing.assert_allclose(parts.read(0, 75)[:, :101] / 65535, brightness(pixels), atol=1e-5)
    assert not parts.read(75, 21).any()  # black, where there is no field


def test_a_tile_is_read_with_the_margins_that_lie_wholly_in_the_field(script):
    shown = []

    def predict(tiles):
        shown.append(tiles.copy())
        return brightness(tiles)

    pixels = np.zeros((75, 101, 3), np.uint8)
    pixels[32:40, :, 0], pixels[24:32, :, 1], pixels[:, 32:40, 2] = 255, 255, 255
    pixels[:, 96:, 2] = 255
    script("tiled_seams").resized_tiles(Photo(pixels), predict, size=32, margin=8)

    assert len(shown) == 12 and {one.shape for one in shown} == {(1, 32, 32, 3)}
    first, middle = shown[0][0], shown[5][0]  # of 40 x 40 pixels, and of 48 x 48
    assert first[-1, :, 0].min() == 255 and first[:, -1, 2].min() == 255  # below and behind
    assert middle[:5, :, 1].min() == 255  # above: 8 of 48 rows are 5 of 32
    assert shown[2][..., 2].max() == 0  # 5 columns are left behind it, not 8
    # The last row and column have black on two sides, where no whole margin lies in the field.
    assert (shown[11][0][-16:].max(), shown[11][0][:, -20:].max()) == (0, 0)


def test_an_answer_keeps_its_values_on_another_grid(script):
    seams, pixels = script("tiled_seams"), noise(75, 101)
    parts = seams.resized_tiles(Photo(pixels), brightness, size=32, margin=0)

    other = seams.recut(parts, TileGrid(80, 112, 48, 16, 16))

    np.testing.assert_array_equal(other.read(0, 80), parts.read(0, 80)[:, :112])


def test_the_worst_seam_is_found_where_only_the_cut_answer_jumps(script):
    smooth = np.zeros((75, 101), np.float32)
    smooth[:, 32:] = 0.9  # an outline of the field, at a border of tiles
    cut = smooth.copy()
    cut[64:, 60:90] += 0.1

    window = script("tiled_seams").worst_seam(cut, smooth, size=32, side=24)

    assert window.top <= 64 < window.bottom and 60 < window.left + 12 < 90


@pytest.mark.slow
@pytest.mark.usefixtures("started")
def test_the_twin_in_pytorch_answers_as_our_network(script, tmp_path):
    pytest.importorskip("monai")
    torch = pytest.importorskip("torch")
    monai, network, field = script("tiled_monai"), script("tiled_network"), tmp_path / "field.png"
    Pillow.fromarray(noise(40, 56)).save(field)
    job = script("tiled_job").Job(
        "build", str(tmp_path), network="unet", levels=3, model=str(tmp_path / "model"),
        fields=(str(field),), tile=32,
    )  # fmt: skip

    facts = network.build(job).facts
    tile, expected = job.trial()
    twin = monai.torch_twin(tmp_path / "model", job.contract(), torch)

    assert 0.1 < expected.std() < 0.3  # random, but not all 0 and 1
    assert facts["tiles"] == 6 and facts["gflop"] > 0
    grid = TileGrid(40, 56, 32, 16, 4)
    for precision, limit in (("float32", 1e-5), ("bfloat16", 0.1)):
        rival = monai.Monai(torch, twin, grid=grid, batch=2, precision=precision)
        np.testing.assert_allclose(rival.forward(tile), expected, atol=limit)
        rival.tiles = 0
        assert rival.road(noise(40, 56)).shape == (40, 56, 1) and rival.tiles == 6


def test_ratios_and_overhead_are_those_of_single_turns(script):
    row, tables = script("tiled_tables").Row, script("tiled_tables")
    slow, fast = (
        row("a", "float32", turns=turns(4, 9, 4)),
        row("b", "float32", turns=turns(2, 3, 1)),
    )

    assert fast.times_faster(slow) == 3 and slow.times_faster(slow) == 1
    assert row("c", "float32").times_faster(slow) is None
    assert fast.overhead(10) == pytest.approx(1.0)
    assert tables.Row is row


def found(tables):
    facts = {"peak": 2e9, "difference": 1e-6}
    rows = [
        tables.Row("naive", "float32", facts, turns(6, 6, 6)),
        tables.Row("monai", "float32", failure="torch not installed"),
        tables.Row("cervseg, keras", "float32", {
            **facts, "forecast": {"memory": 11e8, "seconds": 3.0},
            "truth": {"memory": 10e8, "seconds": 4.0},
        }, turns(2, 2, 2)),
    ]  # fmt: skip
    rates = tables.Row("product", "float32", turns=[{"numpy": 100.0}] * 3)
    return {
        "network": "unet", "parameters": 10**6, "gflop": 20.0, "overlap": 8, "batch": 4,
        "tiles": 10, "rates": rates, "rows": rows,
    }  # fmt: skip


@pytest.mark.parametrize("markdown", [False, True])
def test_the_tables_have_a_row_a_method_and_say_why_one_is_missing(markdown, script):
    tables = script("tiled_tables")
    document = {
        "networks": [json.loads(json.dumps(tables.digest(found(tables))))], "tile": 512,
        "size": [256, 512], "fields": 1, "repeats": 3, "machine": {"cores": 2},
    }  # fmt: skip

    text = tables.tell(document, markdown=markdown)

    assert "matrix product numpy 100 GFLOP/s, so 200 ms a tile" in text
    assert "torch not installed" in text and "+100%" in text and "cores 2" in text
    words = next(line for line in text.splitlines() if "cervseg, keras" in line).split()
    words = [word for word in words if word != "|"]
    assert words[2:8] == ["float32", "2.00", "200.0", "3.00", "100.0", "+100%"][:6]
    assert "of the naive loop's 6.00 s, 1.00 are forward, 5.00 overhead" in text
    assert "1.10 GB" in text and "+10%" in text and "-25%" in text
    pipes = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert pipes == ({12, 9} if markdown else set())


@pytest.mark.parametrize("repeats", [3, 4])
def test_methods_take_turns_and_each_begins_in_its_turn(repeats, script):
    benchmark, calls = script("benchmark_tiled"), []

    def worker(name):
        return SimpleNamespace(turn=lambda: calls.append(name) or {"road": 1.0})

    workers = [(benchmark.Row(name, "float32"), worker(name)) for name in "abc"]
    benchmark.take_turns(workers, repeats, "unet")

    assert "".join(calls) == ("cbaabc" * repeats)[: 3 * repeats]
    assert all(len(row.turns) == repeats for row, _ in workers)


def test_a_method_that_dies_leaves_the_others_measured(script):
    benchmark = script("benchmark_tiled")

    def die():
        raise benchmark.MethodError("its process ended with -9: killed")

    dead, alive = (benchmark.Row(name, "float32") for name in "ab")
    benchmark.take_turns(
        [(dead, SimpleNamespace(turn=die)), (alive, SimpleNamespace(turn=lambda: {"road": 1.0}))],
        3,
        "unet",
    )

    assert dead.failure.endswith("killed") and not dead.turns and len(alive.turns) == 3


@pytest.mark.parametrize(
    "case",
    [(["--repeats", "2"], "at least 3 repeats"), (["--overlap", "half"], "pixels or auto"),
     (["--size", "0"], "at least 1"), (["--picture", "a.png"], "needs --model RUN"),
     (["--linear", "128", "256"], "three sides or more")],
)  # fmt: skip
def test_what_cannot_be_measured_is_told(case, script, capsys):
    words, message = case
    with pytest.raises(SystemExit) as caught:
        script("benchmark_tiled").main(words)

    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_network_is_measured_and_a_tile_off_its_stride_is_one_line(script, capsys):
    main = script("benchmark_tiled").main
    words = ["--networks", "lite_unet", "--size", "75", "101", "--engines", "keras"]

    assert main([*words, "--tile", "40"]) == 2
    assert "40 is no multiple of the network's stride 32" in capsys.readouterr().err

    assert main([*words, "--tile", "64", "--json"]) == 0
    (network,) = json.loads(capsys.readouterr().out)["networks"]
    naive, *monai, ours = [one for one in network["methods"] if one["precision"] == "float32"]
    assert "no twin of lite_unet" in monai[0]["failure"] or "not installed" in monai[0]["failure"]
    assert naive["times_naive"] == 1 and naive["difference"] < 1e-5
    assert ours["difference"] < 1e-4 and ours["peak"] > 1e8 and len(ours["turns"]) == 3
    assert ours["truth"]["memory"] == pytest.approx(ours["forecast"]["memory"], rel=0.15)
