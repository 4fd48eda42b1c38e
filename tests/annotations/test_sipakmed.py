import pytest

from cervseg.annotations import sipakmed
from cervseg.annotations.shapes import paint
from cervseg.annotations.sipakmed import find_sipakmed, read_contours
from cervseg.errors import DataError

CELL = "2,1\n9,1\n9,6\n2,6\n"
NUCLEUS = "4,3\r\n6,3\r\n6,5\r\n4,5\r\n\r\n"


def lay_out(folder, files, *, category="Metaplastic", nested=True):
    """Write files in a category's folder: contours as given, photographs empty."""
    place = folder / f"im_{category}" / (f"im_{category}" if nested else "")
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (place / name).write_text(text)
    return place


def small_set(folder, **more):
    files = {"001.bmp": "", "001_cyt01.dat": CELL, "001_nuc01.dat": NUCLEUS}
    return lay_out(folder, files | more)


def field_of(folder):
    (field,) = find_sipakmed(folder, ["Metaplastic"])
    return field


def refusal(folder, by="nucleus_cytoplasm"):
    with pytest.raises(DataError) as caught:
        read_contours(field_of(folder), by)
    return str(caught.value)


@pytest.mark.parametrize("nested", [True, False])
def test_photographs_and_their_contours_are_found(tmp_path, nested):
    place = lay_out(
        tmp_path,
        {
            "002.BMP": "", "010.bmp": "", "002_cyt10.dat": CELL, "002_cyt02.dat": CELL,
            "002_nuc02.dat": NUCLEUS, "010_cyt01.DAT": CELL, "notes.txt": "", "a.bmp": "",
            "001_001.bmp": "",
        },
        nested=nested,
    )  # fmt: skip
    (place / "CROPPED").mkdir()
    (place / "CROPPED" / "003.bmp").touch()
    lay_out(tmp_path, {"002.bmp": ""}, category="Superficial-Intermediate")

    fields = find_sipakmed(tmp_path, ["Metaplastic", "Superficial-Intermediate"])

    names = [field.name for field in fields]
    assert names == ["Metaplastic_002", "Metaplastic_010", "Superficial-Intermediate_002"]
    first = fields[0]
    assert first.image == place / "002.BMP" and first.category == "Metaplastic"
    assert [path.name for path in first.cells] == ["002_cyt02.dat", "002_cyt10.dat"]
    assert first.nuclei == (place / "002_nuc02.dat",)


def test_by_cell_each_cell_is_one_object(tmp_path):
    small_set(tmp_path)

    (shape,) = read_contours(field_of(tmp_path), "cell")

    assert (shape.name, shape.record) == ("cell", "001_cyt01.dat")
    # x, y are indices of pixels: their centres.
    assert shape.polygons[0].exterior.tolist() == [[1.5, 2.5], [1.5, 9.5], [6.5, 9.5], [6.5, 2.5]]


def test_by_category_a_cell_has_its_name(tmp_path):
    small_set(tmp_path)

    assert [s.name for s in read_contours(field_of(tmp_path), "category")] == ["Metaplastic"]


def test_a_nucleus_lies_on_its_cytoplasm_as_an_object_of_its_own(tmp_path):
    small_set(
        tmp_path, **{"001_cyt02.dat": "20,1\n22,1\n22,9\n", "001_nuc02.dat": "21,2\n22,2\n22,4"}
    )

    shapes = read_contours(field_of(tmp_path), "nucleus_cytoplasm")
    mask, objects = paint(shapes, 15, 31, index={"cytoplasm": 1, "nucleus": 2})

    assert [s.name for s in shapes] == ["cytoplasm", "nucleus"] * 2
    assert (mask == 2).sum() == 4 + 1 and (mask[1:6, 2:9] > 0).all()
    assert objects[4, 5] == 2 and objects[1, 2] == 1 and objects.max() == 4


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ": ring without points, at least 3 needed"),
        ("1,2\n3,4\n", ": ring with 2 points, at least 3 needed"),
        ("1,2\n3,4\n1,2\n", ": ring with 2 points, at least 3 needed"),
        ("1,2\n3\n5,6\n", ":2: '3' is no point like '734,301'"),
        ("1,2\n\n3,4,5\n5,6\n", ":3: '3,4,5' is no point like '734,301'"),
        ("1,2\n3,x\n5,6\n", ":2: '3,x' is no point like '734,301'"),
        ("1 2\n", ":1: '1 2' is no point like '734,301'"),
        ("1" * 50, f":1: '{'1' * 37}…' is no point like '734,301'"),
        ("1,2\n3,nan\n5,6\n", ": a coordinate that is not finite"),
        ("1,2\n3,1e30\n5,6\n", ": a coordinate 1e+30 pixels away, at most 10000000"),
    ],
)
def test_a_broken_contour_is_told_with_its_line(tmp_path, text, told):
    place = small_set(tmp_path, **{"001_nuc01.dat": text})

    assert refusal(tmp_path) == f"{place / '001_nuc01.dat'}{told}"


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = small_set(tmp_path) / "001_cyt01.dat"
    path.write_bytes(b"1,2\n\xff\n")

    assert refusal(tmp_path, "cell").startswith(f"{path}: not a readable contour: 'ascii' codec")


def test_a_contour_that_is_far_too_large_is_not_read(tmp_path, monkeypatch):
    path = small_set(tmp_path) / "001_cyt01.dat"
    monkeypatch.setattr(sipakmed, "LARGEST", 2**20)
    path.write_bytes(b" " * (2**20 + 1))

    assert refusal(tmp_path, "cell") == f"{path}: over 1 MB, no contour is so large"


def test_a_contour_that_vanished_is_told(tmp_path):
    path = small_set(tmp_path) / "001_cyt01.dat"
    field = field_of(tmp_path)
    path.unlink()

    with pytest.raises(DataError, match=r"001_cyt01\.dat: no such file$"):
        read_contours(field, "cell")


def test_a_photograph_without_contours_is_not_background(tmp_path):
    place = lay_out(tmp_path, {"001.bmp": ""})

    expected = f"{place / '001.bmp'}: no contour like 001_cyt01.dat beside it"
    assert refusal(tmp_path, "cell") == expected


@pytest.mark.parametrize("by", ["cell", "category", "nucleus_cytoplasm"])
def test_a_nucleus_without_cell_is_refused(tmp_path, by):
    place = small_set(tmp_path, **{"001_nuc02.dat": NUCLEUS})

    told = "a nucleus, but its cell has no 001_cyt02.dat"
    assert refusal(tmp_path, by) == f"{place / '001_nuc02.dat'}: {told}"


def test_a_cell_without_nucleus_is_refused_where_nuclei_are_wanted(tmp_path):
    place = small_set(tmp_path, **{"001_cyt02.dat": CELL})

    told = "a cell, but its nucleus has no 001_nuc02.dat"
    assert refusal(tmp_path) == f"{place / '001_cyt02.dat'}: {told}"
    assert len(read_contours(field_of(tmp_path), "cell")) == 2


def test_two_contours_of_one_number_are_refused(tmp_path):
    place = small_set(tmp_path, **{"001_cyt1.dat": CELL})

    first, second = place / "001_cyt01.dat", place / "001_cyt1.dat"
    assert refusal(tmp_path) == f"{first} and {second}: two contours of one number"


def find_refusal(folder):
    with pytest.raises(DataError) as caught:
        find_sipakmed(folder, ["Parabasal"])
    return str(caught.value), caught.value.hint


def test_what_is_not_the_layout_is_refused(tmp_path):
    assert find_refusal(tmp_path / "no") == (f"{tmp_path / 'no'}: no such folder", None)
    hint = "name in data.source.categories what is there"
    told = f"{tmp_path}: no folder im_Parabasal in it; found no im_ folder"
    assert find_refusal(tmp_path) == (told, hint)
    small_set(tmp_path)
    told = f"{tmp_path}: no folder im_Parabasal in it; found im_Metaplastic"
    assert find_refusal(tmp_path) == (told, hint)
    place = lay_out(tmp_path, {}, category="Parabasal")
    assert find_refusal(tmp_path) == (f"{place}: no photographs like 001.bmp in it", None)
    (place / "001.bmp").touch()
    (place / "002_cyt01.dat").touch()
    assert find_refusal(tmp_path) == (f"{place / '002_cyt01.dat'}: no 002.bmp beside it", None)
