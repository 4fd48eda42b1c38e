"""`data.source`: photographs, and where somebody said what is on them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from cervseg.config.base import ConfigPath, Section

Category = Literal[
    "Dyskeratotic", "Koilocytotic", "Metaplastic", "Parabasal", "Superficial-Intermediate"
]

CATEGORIES: tuple[Category, ...] = (
    "Dyskeratotic",
    "Koilocytotic",
    "Metaplastic",
    "Parabasal",
    "Superficial-Intermediate",
)

Positive = Annotated[float, Field(gt=0, le=64)]

IMAGES = "folder of images, read recursively; `{split}` in it names split folders"
RENAME = (
    "names in the annotations: a class of `data.classes`, `background` or `ignore`; "
    "what has no classification is called `unclassified`"
)


FileScale = Annotated[
    tuple[Positive, Positive],
    Field(description="full-size pixels per file pixel, vertical and horizontal"),
]


class FolderSource(Section):
    """Photographs and masks of their size."""

    kind: Literal["folders", "tiles"] = Field(
        "folders", description="photographs and masks in folders, or a set that is already tiled"
    )
    images: ConfigPath = Field(description=IMAGES)
    masks: ConfigPath = Field(description="folder of masks, paired with the images by stem")
    scale: FileScale = (1.0, 1.0)

    @model_validator(mode="after")
    def _check_split_folders(self) -> "FolderSource":
        has_split = ["{split}" in str(path) for path in (self.images, self.masks)]
        if has_split[0] != has_split[1]:
            raise ValueError("`{split}` must be in both `images` and `masks` or in neither")
        if self.kind == "tiles" and not has_split[0]:
            raise ValueError("kind `tiles` needs `{split}` in `images` and `masks`")
        return self


class SipakmedSource(Section):
    """SIPaKMeD as published: a folder a category, a contour file a cell and a nucleus."""

    kind: Literal["sipakmed"] = Field(description="SIPaKMeD as its authors publish it")
    folder: ConfigPath = Field(description="the folder that holds `im_Metaplastic` and the like")
    categories: tuple[Category, ...] = Field(
        CATEGORIES, min_length=1, description="which of the five; default: all"
    )
    contours: Literal["cell", "nucleus_cytoplasm", "category"] = Field(
        "cell",
        description="what they become: `cell`; `nucleus` and `cytoplasm`; or the name of the "
        "category",
    )
    rename: dict[str, str] = Field({}, description=RENAME)
    scale: FileScale = (1.0, 1.0)


class GeojsonSource(Section):
    """Annotations as QuPath exports them."""

    kind: Literal["geojson"] = Field(description="QuPath annotations, a file an image")
    images: ConfigPath = Field(description=IMAGES)
    annotations: ConfigPath | None = Field(
        None, description="folder of `NAME.geojson`; default: beside the images"
    )
    rename: dict[str, str] = Field({}, description=RENAME)
    scale: FileScale = (1.0, 1.0)


class CocoSource(Section):
    """Polygons and run lengths of all images in one file."""

    kind: Literal["coco"] = Field(description="one COCO file for all images")
    images: ConfigPath = Field(description=IMAGES)
    annotations: ConfigPath = Field(description="the JSON file; `{split}` as in `images`")
    rename: dict[str, str] = Field({}, description=RENAME)
    scale: FileScale = (1.0, 1.0)


class LabelImageSource(Section):
    """A number for each object, as Cellpose and StarDist write them."""

    kind: Literal["label_images"] = Field(description="16-bit images, a number an object")
    images: ConfigPath = Field(description=IMAGES)
    masks: ConfigPath = Field(
        description="folder of label images of the same stem, or with `_masks` or `_cp_masks` "
        "behind it"
    )
    class_name: str | None = Field(
        None, description="the class of all objects; default: the only one of `data.classes`"
    )
    scale: FileScale = (1.0, 1.0)


Source = FolderSource | SipakmedSource | GeojsonSource | CocoSource | LabelImageSource


def _with_kind(value: object) -> object:
    return {"kind": "folders", **value} if isinstance(value, dict) else value


OneSource = Annotated[
    Annotated[Source, Field(discriminator="kind")],
    BeforeValidator(_with_kind, json_schema_input_type=Source),
]


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, dict) else value


Sources = Annotated[
    tuple[OneSource, ...],
    BeforeValidator(_as_list, json_schema_input_type=OneSource | tuple[OneSource, ...]),
]
"""One mapping stands for a list of one; without `kind` it is folders."""
