from cervseg.config.keys import all_keys, is_section, names_in


def test_every_key_has_one_line_of_meaning():
    for key in all_keys():
        meaning = key.field.description

        assert meaning and "\n" not in meaning and not meaning.endswith("."), key.dotted


def test_keys_are_listed_with_their_section():
    dotted = [key.dotted for key in all_keys()]

    assert dotted[0] == "data"
    assert {"data.source.images", "data.split.seed", "train.reducer.factor"} < set(dotted)


def test_a_section_is_a_key_with_keys_of_its_own():
    assert is_section("train") and is_section("data.split") and is_section("data.source")
    assert not is_section("train.epochs") and not is_section("data.classes")


def test_the_kinds_of_a_section_have_keys_of_their_own():
    assert names_in("data.split") == ["kind", "train", "valid", "test", "seed"]
    assert names_in("data.split", "lists") == ["kind", "train", "valid", "test"]
    assert names_in("data.split", "folders") == ["kind"]
    assert names_in("data.source", "tiles") == ["kind", "images", "masks", "scale"]
