"""The package is built as docs/architecture.md says: arrows, tree, sketch, and house rules.

Over 400 lines: one page of documentation, one file that reads it.
"""

import ast
import inspect
import re
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple, get_args

import numpy as np
import pytest

from cervseg.config.data import Split
from cervseg.config.encoders import EncoderName
from cervseg.config.keys import kinds_of, section_models
from cervseg.config.losses import LossName
from cervseg.config.model import ModelConfig, network_options
from cervseg.config.networks import Activation, UNetConfig
from cervseg.config.training import MetricName
from cervseg.grid import TileGrid
from cervseg.inference.bands import predict_bands
from cervseg.inference.blending import axis_weights

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "cervseg"
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted(PACKAGE.rglob("*.py"))
FLOOR = """errors, arrays, classes, grid, values, contract, reports, files, bounds, writable,
           digests, runs, machine"""

LONG_FILES: dict[str, str] = {}
"""Over 300 lines, with the reason."""

SECTIONS = {kinds_of(section)[0]: section for section in section_models(ModelConfig)}
"""Section `model` of each network."""


@cache
def trees():
    """The syntax of each file; by a function, for what every process collects must be quick."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def block(heading, language=""):
    """The first block of code below a heading of the page."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.search(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[1]


def name_of(path):
    return path.relative_to(REPOSITORY).as_posix()


def part_of(path):
    """The row of the table that a file belongs to: its folder, or itself."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


# Arrows


class Row(NamedTuple):
    """What a part may import, of cervseg and of others: anywhere, or inside functions only."""

    ours: set[str]
    ours_late: set[str]
    others: set[str]
    others_late: set[str]


def words(text):
    text = re.sub(r"\bfloor\b", FLOOR, text)
    return set(re.findall(r"[\w.]+", text))


def read_arrows():
    rows = {}
    for line in block("Who may import whom").splitlines():
        left, right = line.split("->")
        ours, others = right.split("|")
        halves = [half for side in (ours, others) for half in (*side.split("; late"), "")[:2]]
        if others.strip().startswith("late"):
            halves[2:] = ["", others.replace("late", "")]
        for part in words(left):
            rows[part] = Row(*map(words, halves))
    return rows


ARROWS = read_arrows()


class Import(NamedTuple):
    """One import: the module, whether it waits for a call, and its line."""

    module: str
    late: bool
    line: int


def imports(path):
    """All imports of a file; those for the type checker count as late, as nothing runs them."""
    found = []

    def visit(node, late):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is relative"
            found.extend(Import(m, late, node.lineno) for m in _modules(node))
        elif isinstance(node, ast.Import):
            found.extend(Import(alias.name, late, node.lineno) for alias in node.names)
        late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        late = late or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        for child in ast.iter_child_nodes(node):
            visit(child, late)

    visit(trees()[path], False)
    return found


def _modules(node):
    if node.module != "cervseg":
        return [node.module]
    return [f"cervseg.{a.name}" for a in node.names if not a.name.startswith("__")]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_follow_the_arrows(path):
    part, row = part_of(path), ARROWS[part_of(path)]

    wrong = []
    for module, late, line in imports(path):
        top, _, rest = module.partition(".")
        if top in sys.stdlib_module_names:
            continue
        if top == "cervseg":
            allowed = row.ours | (row.ours_late if late else set()) | {part}
            fits = not rest or any(rest == a or rest.startswith(f"{a}.") for a in allowed)
        else:
            fits = top in row.others | (row.others_late if late else set())
        if not fits:
            wrong.append(f"{name_of(path)}:{line}: {module}")

    assert not wrong


def test_every_part_of_the_package_has_its_row():
    parts = {part_of(path) for path in FILES}

    assert set(ARROWS) == parts


def test_the_arrows_make_no_circle():
    waiting = {part: row.ours | row.ours_late for part, row in ARROWS.items()}
    floor = set(words(FLOOR))
    waiting = {
        part: {target.split(".")[0] for target in targets} - floor - {part}
        for part, targets in waiting.items()
        if part not in floor
    }
    while waiting:
        ready = {part for part, targets in waiting.items() if not targets & set(waiting)}
        assert ready, f"a circle among {sorted(waiting)}"
        waiting = {part: targets for part, targets in waiting.items() if part not in ready}


def test_what_reads_tiles_and_scores_never_loads_keras():
    program = """
import importlib, pkgutil, sys
for folder in ("data", "inference", "reporting", "scoring", "images", "config", "commands", "cli"):
    package = importlib.import_module(f"cervseg.{folder}")
    for module in pkgutil.iter_modules(package.__path__, f"cervseg.{folder}."):
        importlib.import_module(module.name)
heavy = {"keras", "tensorflow", "jax", "matplotlib", "h5py"}
print(sorted(heavy & set(sys.modules)))
"""

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "[]"


# Tree


def test_the_tree_names_every_file():
    tree = block("The tree")
    named = set(re.findall(r"\w+", tree))
    missing = [
        name_of(path)
        for path in FILES
        if (path.parent.name if path.name == "__init__.py" else path.stem) not in named
    ]

    assert not missing, "docs/architecture.md: add them to the tree"


def test_the_tree_names_no_folder_that_is_not_there():
    folders = set(re.findall(r"(\w+)/", block("The tree"))) - {"cervseg"}

    assert folders == {path.parent.name for path in FILES if path.name == "__init__.py"} - {
        "cervseg"
    }


# Sketch

SKETCH = block("The sketch", "python")
SKETCHED = {
    node.name: node
    for node in ast.parse(SKETCH).body
    if isinstance(node, ast.ClassDef | ast.FunctionDef)
}
HOMES = {
    name: re.search(
        rf"^(?:class {name}\(?.*?|def {name}\((?:.|\n)*?)#\s+([\w/]+)\.py", SKETCH, re.MULTILINE
    )[1]
    for name in SKETCHED
}


def real(name):
    """The same class or function in the package, as a tree."""
    path = PACKAGE / f"{HOMES[name]}.py"
    (node,) = [node for node in trees()[path].body if getattr(node, "name", None) == name]
    return node


def header(node):
    return [ast.unparse(part) for part in (*node.decorator_list, *node.bases)]


def fields(node):
    """Name, type and default of each field of a class."""
    return [
        (f.target.id, ast.unparse(f.annotation), ast.unparse(f.value) if f.value else None)
        for f in node.body
        if isinstance(f, ast.AnnAssign)
    ]


def signature(node):
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    return decorators, ast.unparse(node.args), ast.unparse(node.returns)


def methods(node):
    return {f.name: signature(f) for f in node.body if isinstance(f, ast.FunctionDef)}


def is_shortened(node):
    last = node.body[-1]
    return isinstance(last, ast.Expr) and ast.unparse(last) == "..."


@pytest.mark.parametrize("name", [n for n, s in SKETCHED.items() if isinstance(s, ast.ClassDef)])
def test_a_class_of_the_sketch_is_that_of_the_package(name):
    sketch, package = SKETCHED[name], real(name)

    assert header(sketch) == header(package)
    if is_shortened(sketch):
        assert fields(sketch) == [f for f in fields(package) if f in fields(sketch)]
        assert methods(sketch).items() <= methods(package).items()
        shown = len(fields(sketch)) + len(methods(sketch))
        assert shown < len(fields(package)) + len(methods(package)), "nothing is left out"
    else:
        assert fields(sketch) == fields(package)
        assert methods(sketch) == methods(package)


@pytest.mark.parametrize("name", [n for n, s in SKETCHED.items() if isinstance(s, ast.FunctionDef)])
def test_a_function_of_the_sketch_has_the_signature_of_the_package(name):
    assert signature(SKETCHED[name]) == signature(real(name))


@pytest.fixture(scope="module")
def sketch():
    """The sketch, run; its classes look their module up."""
    module = type(sys)("sketch")
    sys.modules["sketch"] = module
    names = module.__dict__
    exec(compile(SKETCH, "docs/architecture.md", "exec"), names)
    yield SimpleNamespace(**names)
    del sys.modules["sketch"]


@pytest.mark.parametrize("grid", [(64, 96, 32, 16, 4), (48, 48, 48, 0, 8), (33, 50, 21, 10, 1)])
@pytest.mark.parametrize("margin", [0, 5])
def test_the_sketch_computes_what_the_package_does(sketch, *, grid, margin):
    ours, theirs = TileGrid(*grid), sketch.TileGrid(*grid)
    pixels = np.random.default_rng(3).integers(0, 256, (*grid[:2], 3), np.uint8)

    def predict(tiles):
        return tiles[..., :2].astype(np.float32) / 255

    def read(window):
        top, left, height, width = window
        return pixels[top : top + height, left : left + width]

    def bands(function, grid, first):
        image = SimpleNamespace(read=read)
        return list(function(image, predict, grid, channels=2, margin=margin, first=first))

    for length in grid[:2]:
        assert ours.starts(length) == theirs.starts(length)
        for mine, its in zip(
            axis_weights(ours, length, min(margin, grid[3] // 2)),
            sketch.axis_weights(theirs, length, min(margin, grid[3] // 2)),
            strict=True,
        ):
            np.testing.assert_array_equal(mine, its)
    for first in range(len(ours.starts(grid[0]))):
        for mine, its in zip(
            bands(predict_bands, ours, first),
            bands(sketch.predict_bands, theirs, first),
            strict=True,
        ):
            assert mine.top == its.top
            np.testing.assert_array_equal(mine.probabilities, its.probabilities)


# House rules


@cache
def functions():
    return [
        (name_of(path), node)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_functions_are_short():
    lengths = sorted(node.end_lineno - node.lineno + 1 for _, node in functions())

    assert np.quantile(lengths, 0.9) < 31


def test_files_are_short():
    long = {
        name_of(path): lines
        for path in FILES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }

    assert set(long) == set(LONG_FILES), long


def test_what_is_caught_is_narrow():
    broad = []
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            assert node.type is not None, f"{name_of(path)}:{node.lineno}: a bare except"
            caught = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}
            again = any(isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(node))
            if "Exception" in caught or ("BaseException" in caught and not again):
                broad.append(name_of(path))

    # The third: when a download fails, Keras raises the bare class.
    assert broad == ["cervseg/cli/app.py", "cervseg/images/image.py", "cervseg/models/encoders.py"]


def test_only_the_console_prints():
    printing = {
        name_of(path)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write")
    }

    assert printing == {"cervseg/console.py"}


@pytest.mark.parametrize(
    ("library", "files"),
    [("tensorflow", {"cervseg/runtime.py"}),
     ("jax", {"cervseg/runtime.py", "cervseg/processes.py"})],
)  # fmt: skip
def test_few_files_know_the_backend(library, files):
    knowing = {
        name_of(path)
        for path in FILES
        for module, _, _ in imports(path)
        if module.split(".")[0] == library
    }

    assert knowing == files


def test_only_the_runtime_writes_the_environment():
    writing = set()
    for path, tree in trees().items():
        for node in ast.walk(tree):
            written = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del)
            changed = isinstance(node, ast.Attribute) and node.attr in ("setdefault", "update")
            if (written or changed) and ast.unparse(node.value) == "os.environ":
                writing.add(name_of(path))

    assert writing == {"cervseg/runtime.py"}


# What stands twice is equal


def test_the_names_of_the_config_are_those_of_the_tables(started):
    from cervseg.losses import LOSSES
    from cervseg.metrics import METRICS
    from cervseg.models import ARCHITECTURES

    assert set(get_args(LossName)) == set(LOSSES)
    assert set(get_args(MetricName)) == set(METRICS)
    assert set(SECTIONS) == set(ARCHITECTURES)


def test_the_engines_of_the_config_are_those_there_are():
    from cervseg.config.inference import InferConfig
    from cervseg.engines.choice import ENGINES
    from cervseg.engines.settings import EXTRAS, EngineName

    asked = InferConfig.model_fields["engine"].annotation
    assert set(get_args(asked)) == set(get_args(EngineName)) == {*ENGINES, "auto"}
    assert set(EXTRAS) < set(ENGINES)


def test_every_activation_of_keras_that_works_on_each_value_has_its_name(started):
    from keras import activations

    # They look along an axis, or need arguments.
    others = {"softmax", "log_softmax", "sparsemax", "glu", "threshold"}
    tools = {"get", "serialize", "deserialize"}
    known = {name for name in vars(activations) if not name.startswith("_")} - others - tools

    assert set(get_args(Activation)) == known
    for name in get_args(Activation):
        assert callable(activations.get(name))


@pytest.mark.parametrize("name", SECTIONS)
def test_defaults_of_the_config_are_those_of_build(started, name):
    from cervseg.models import ARCHITECTURES

    config = SECTIONS[name](architecture=name)
    parameters = inspect.signature(ARCHITECTURES[name]).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    assert {key: _plain(value) for key, value in defaults.items()} == network_options(config)


def test_closed_choices_of_build_are_those_of_the_config(started):
    from cervseg.models import blocks, encoders

    normalization = UNetConfig.model_fields["normalization"].annotation

    assert get_args(blocks.Normalization) == get_args(normalization)
    assert {name for part in get_args(EncoderName) for name in get_args(part) or [part]} == set(
        encoders.ENCODERS
    )


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def test_splits_have_one_order():
    splits = import_module("cervseg.data.fields").SPLITS

    assert splits == get_args(Split)
