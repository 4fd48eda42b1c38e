"""What the README says is so: tables, paths, commands, and its story from beginning to end."""

import doctest
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from cervseg.cli.app import parse
from cervseg.cli.job import Job
from cervseg.config import Config
from cervseg.errors import EXIT_CODES

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def marked(what):
    """The lines between `<!-- what: … -->` and `<!-- end -->`."""
    return re.search(rf"<!-- {what}: .*? -->\n(.*?)<!-- end -->", README, re.DOTALL)[1]


def commands(page):
    """Every `cervseg …` of a page that is a whole command: in blocks, and between backticks."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")  # a long one goes on below
    lines = [line for block in blocks("(?:bash|console)?", text) for line in block.splitlines()]
    lines += re.findall(r"`(cervseg [^`]+)`", text)
    parts = [part.strip() for line in lines for part in line.split("|")]
    # Not `cervseg --install-completion`, which parsing obeys at once.
    whole = [part for part in parts if re.match(r"cervseg [a-z-]+ \S", part)]
    return [part for part in whole if not re.search(r"…|\b[A-Z]{4,}\b", part)]


def anchors(text):
    """What a link can name of a page: its headings, as GitHub and the site write them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", line.lower())) for line in headings}


def leaves(menu):
    """The pages of a menu."""
    if isinstance(menu, str):
        return [menu]
    parts = menu.values() if isinstance(menu, dict) else menu
    return [page for part in parts for page in leaves(part)]


ALL_COMMANDS = [(page.name, line) for page in PAGES for line in commands(page)]


def test_the_exit_codes_are_those_of_the_package():
    rows = "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())

    assert marked("exit codes") == f"| code | meaning |\n|---|---|\n{rows}"


def test_the_sections_are_those_of_the_schema():
    rows = "".join(
        f"| [`{name}`](docs/configuration.md#{name}) | {field.description} |\n"
        for name, field in Config.model_fields.items()
    )

    assert marked("config sections") == f"| section | what it says |\n|---|---|\n{rows}"


@pytest.mark.parametrize(("page", "line"), ALL_COMMANDS)
def test_every_command_line_is_understood(page, line):
    words = shlex.split(line, comments=True)[1:]

    job = parse(words)

    assert isinstance(job, Job) or "--help" in words or "--version" in words


def test_the_readme_shows_all_five_commands():
    named = {shlex.split(line)[1] for page, line in ALL_COMMANDS if page == "README.md"}

    assert named >= {"config", "dataset-tile", "train", "evaluate", "tiled-infer"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")

    for target, place in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?[^)]*\)", text):
        if target.startswith("http"):
            continue
        path = page.parent / target if target else page
        assert path.exists(), target
        if place and path.suffix == ".md":
            assert place in anchors(path.read_text(encoding="utf-8")), f"{target}#{place}"


def test_every_page_stands_in_the_menu_of_the_site():
    menu = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]
    pages = {
        path.relative_to(REPOSITORY / "docs").as_posix()
        for path in (REPOSITORY / "docs").rglob("*.md")
    }

    assert set(leaves(menu)) == pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_repository_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")

    for name in re.findall(r"`((?:configs|docs|scripts|tests|cervseg)/[\w./-]+)`", text):
        assert (REPOSITORY / name).exists(), name


def test_every_target_that_a_page_makes_is_in_the_makefile():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set()
    for page in [*PAGES, REPOSITORY / "CONTRIBUTING.md"]:
        for line in re.findall(r"(?:^    |`)make ([^`#\n]+)", page.read_text(), re.MULTILINE):
            named |= {word for word in line.split() if "=" not in word}

    assert named >= {"demo", "test", "tile", "train", "evaluate", "check", "bench"}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_give_what_it_says(page):
    failed, _ = doctest.testfile(str(page), module_relative=False)

    assert failed == 0


def test_the_picture_is_small():
    name = re.search(r"!\[.*?\]\((.*?)\)", README)[1]

    assert (REPOSITORY / name).stat().st_size < 300_000


@pytest.mark.slow
def test_images_may_come_from_a_pipe_and_masks_go_into_one(road):
    (line,) = [line for block in blocks("bash") for line in block.splitlines() if "find" in line]
    line = line.replace("new-fields", "fields").replace("runs/my-fields", "run")

    ran = road.shell(f"rm -rf piped; {line}")

    assert ran.code == 0, ran.err
    document = ran.document
    assert (document["command"], document["exit_code"]) == ("tiled-infer", 0)
    images = [result["image"] for result in document["results"]]
    assert sorted(images) == [f"fields/images/field_{i}.jpg" for i in range(1, 7)]
    for result in document["results"]:
        mask = (road.folder / result["mask"]).read_bytes()
        assert mask == (road.folder / "tiled/masks" / Path(result["mask"]).name).read_bytes()


@pytest.mark.slow
def test_the_story_of_the_readme(road, tmp_path):
    """Each block, in order, as typed; only the config is made small after it is drawn up."""
    folder = tmp_path
    shutil.copytree(road.folder / "fields", folder / "my-fields")
    shutil.copytree(road.folder / "fields/images", folder / "new-fields")
    shell = type(road)(folder).shell
    first, *others = [line for block in blocks("bash") for line in block.splitlines()]

    drawn_up = shell(first)
    config = folder / "cells.yaml"
    assert drawn_up.code == 0, drawn_up.err
    assert "next: cervseg dataset-tile cells.yaml" in drawn_up.err
    text = config.read_text().replace("epochs: 100", "epochs: 1\n  steps_per_epoch: 2")
    config.write_text(f"{text}model: {{base_filters: 4, num_layers: 3}}\n")
    for line in others:
        ran = shell(line)
        assert ran.code == 0, f"{line}\n{ran.err}"
    (program,) = blocks("python")
    (folder / "program.py").write_text(program)
    ran = shell("python program.py")

    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [
        f"masks-from-python/masks/field_{i}.png {count}"
        for i, count in enumerate(_classes(folder / "masks", shell), start=1)
    ]
    for name in ("samples.png", "manifest.csv", "dataset.json"):
        assert (folder / "datasets/my-fields" / name).is_file()
    assert (folder / "runs/my-fields/evaluation/test/scores.json").is_file()


def _classes(output, shell):
    """What the summary counts, as the Python program prints it."""
    lines = (output / "summary.csv").read_text().splitlines()[1:]
    for line in lines:
        _, name, objects, pixels, *_ = line.split(",")
        yield json.loads(f'{{"{name}": {{"objects": {objects}, "pixels": {pixels}}}}}')
