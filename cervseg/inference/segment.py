"""The road of one image: open, scale, tile, predict, decide, write."""

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cervseg.arrays import RGB
from cervseg.config.inference import InferConfig, TiledInferConfig
from cervseg.contract import Contract, Predictor
from cervseg.digests import content_digest, sample_digest
from cervseg.errors import CheckError
from cervseg.grid import Window
from cervseg.images.image import Image
from cervseg.images.views import keep_small
from cervseg.inference.assembly import Areas, Assembly
from cervseg.inference.background import background_judge
from cervseg.inference.bands import Skip
from cervseg.inference.decision import ClassCount
from cervseg.inference.drift import size_drift, stain_drift
from cervseg.inference.outputs import ImageReport
from cervseg.inference.parts import BandFolder, BandList, Bands, Parts
from cervseg.inference.prediction import FULL_SIZE, TilePlan, fill_parts, whole_rows
from cervseg.inference.probability import Combined, Steps
from cervseg.inference.regions import read_regions
from cervseg.inference.rows import Rows
from cervseg.inference.scales import known_mpp, known_scale
from cervseg.inference.seams import seam_score
from cervseg.inference.self_check import SelfCheck, check_tiles, reach_of
from cervseg.machine import keep_blocks, return_blocks
from cervseg.reports import JSON, Bar, Progress


@dataclass(frozen=True)
class Model:
    """What predicts, and what it is.

    Args:
        contract: Of the model.
        predict: For tiles of the plan.
        channels: Of its answers: the contract's, and one more where it also says how far its
            members differ.
        fingerprint: What its answers depend on: files, settings, engine.
    """

    contract: Contract
    predict: Predictor
    channels: int
    fingerprint: Mapping[str, JSON]


@dataclass(frozen=True)
class Segmenter:
    """Segments images, one after another.

    Args:
        model: What predicts.
        assembly: What is written.
        config: Section `infer` or `tiled_infer`.
        plan: Of the tiles; None: each image fitted to one tile.
        predict_large: The model for windows of any size, for the self-check.
    """

    model: Model
    assembly: Assembly
    config: InferConfig
    plan: TilePlan | None
    predict_large: Predictor | None = None

    def segment(self, image: Image, path: Path, name: str, *, progress: Progress) -> ImageReport:
        """Write all files of an image and say what is known of it.

        Bands of a large image that are there already are not predicted again.

        Raises:
            DataError: Part of the image can't be read, or its name is too long.
            ConfigError: Its bands were made with other settings.
            CheckError: The self-check is over its limit.
        """
        self.assembly.output.require_room(name)
        job = _Job(self, image, path=path, name=name)
        report = job.tiled(progress) if self.plan else job.whole()
        if job.large:  # what it was worked with
            shutil.rmtree(self.assembly.output.bands(name), ignore_errors=True)
        return report

    def bands(self, image: Image, path: Path, name: str) -> Bands | None:
        """What there is of the bands of a large image; None for one that is not large."""
        if self.plan is None or not self.large(image):
            return None
        parts = _Job(self, image, path=path, name=name).open_parts()
        return Bands(parts.missing(), len(parts.grid.starts(parts.grid.height)))

    def predict_bands(self, image: Image, path: Path, name: str, *, bands: Collection[int]) -> None:
        """Predict some bands of a large image and leave them in its folder.

        Raises:
            DataError: See `segment`.
        """
        self.assembly.output.require_room(name)
        job = _Job(self, image, path=path, name=name)
        job.fill(job.open_parts(), bands=bands)

    def large(self, image: Image) -> bool:
        """Whether an image is worked on disk and written as OME-TIFF."""
        return image.height * image.width >= self.config.large_from

    def target(self, image: Image) -> tuple[int, int]:
        """Height and width of the mask."""
        level = self.config.mask_level if isinstance(self.config, TiledInferConfig) else 0
        return -(-image.height // 2**level), -(-image.width // 2**level)

    def file_scale(self, image: Image) -> Sequence[float]:
        """Full-size pixels per pixel of an image, vertical and horizontal."""
        scale = known_scale(image, self.config, self.model.contract)
        return FULL_SIZE if scale is None else (scale, scale)

    def mask_pixel(self, image: Image) -> tuple[float, float]:
        """Height and width of a pixel of the mask, in full-size pixels."""
        (height, width), scale = self.target(image), self.file_scale(image)
        return scale[0] * image.height / height, scale[1] * image.width / width


class _Job:
    """One image on its way."""

    def __init__(self, tools: Segmenter, image: Image, *, path: Path, name: str) -> None:
        self.tools, self.image, self.path, self.name = tools, image, path, name
        self.large = tools.large(image)
        self.target = tools.target(image)
        roi = tools.config.roi if isinstance(tools.config, TiledInferConfig) else None
        self.regions = read_regions(roi, image.height, image.width)
        self.digest = sample_digest(path)  # now: who knows what it is when all is done

    @cached_property
    def scaled(self) -> Image:
        """The image at the model's scale."""
        assert self.tools.plan is not None
        return self.tools.plan.view(self.image, self.tools.file_scale(self.image))

    @cached_property
    def view(self) -> Image:
        """The same, kept if it is small."""
        return keep_small(self.scaled)

    def whole(self) -> ImageReport:
        """Fitted to one tile."""
        return self._assemble(self._whole_rows(), ImageReport(()))

    def _whole_rows(self) -> Rows:
        model = self.tools.model
        return whole_rows(
            self.image,
            model.predict,
            model.contract,
            file_scale=self.tools.file_scale(self.image),
            target=self.target,
        )

    def tiled(self, progress: Progress) -> ImageReport:
        """Tile by tile, band by band."""
        config, plan = self.tools.config, self.tools.plan
        assert plan is not None and isinstance(config, TiledInferConfig)
        view = self.view
        parts = self.open_parts()
        grid = parts.grid
        check = self._check()
        keep_blocks()
        with progress.bar(self.name, len(grid)) as bar:
            self.fill(parts, bar=bar)
        if self.large:
            return_blocks()  # of the first pass, before the second takes its own
        rows: Rows = Steps(parts, view.height, view.width, target=self.target)
        if config.combine != "tiled":
            rows = Combined(rows, self._whole_rows(), config.combine)
        report = ImageReport(
            (),
            tiles=len(grid),
            skipped=parts.skipped() / len(grid),
            seam=None
            if parts.skipped()  # beside what was left out the answer ends, tile or not
            else seam_score(parts, view.height, view.width, margin=plan.margin),
            check=None if check is None else (check.largest, check.mean),
        )
        return self._assemble(rows, report)

    def fill(
        self,
        parts: Parts,
        *,
        bands: Collection[int] | None = None,
        bar: Bar | None = None,
    ) -> None:
        """Predict the bands that are missing, of all or of some."""
        tools = self.tools
        assert tools.plan is not None
        fill_parts(
            parts,
            self.view,
            tools.model.predict,
            plan=tools.plan,
            bands=bands,
            skip=self._skip(),
            bar=bar,
        )

    def open_parts(self) -> Parts:
        """A place for the bands: in memory, or on disk with what is there already."""
        plan, model = self.tools.plan, self.tools.model
        assert plan is not None
        grid = plan.grid(self.scaled)
        if not self.large:
            return BandList(grid, model.channels)
        fingerprint = {**model.fingerprint, "image": content_digest(self.path)}
        folder = self.tools.assembly.output.bands(self.name)
        return BandFolder(folder, grid, model.channels, fingerprint=fingerprint)

    def _skip(self) -> Skip | None:
        """Which tiles need not be predicted: outside the regions, or empty glass."""
        config, regions = self.tools.config, self.regions
        assert isinstance(config, TiledInferConfig)
        judge = background_judge(self.view) if config.skip_background else None
        if regions is None and judge is None:
            return None
        inside = None if regions is None else regions.on(self.view.height, self.view.width)

        def skip(window: Window, look: Callable[[], RGB]) -> bool:
            if inside is not None and not inside.touches(window):
                return True
            return judge is not None and judge(look())

        return skip

    def _check(self) -> SelfCheck | None:
        tools, plan = self.tools, self.tools.plan
        asked = tools.config.self_check if isinstance(tools.config, TiledInferConfig) else None
        if asked is None or plan is None or tools.predict_large is None:
            return None
        check = check_tiles(
            self.view,
            tools.model.predict,
            plan.grid(self.view),
            predict_large=tools.predict_large,
            margin=plan.margin,
            reach=reach_of(tools.model.contract, plan.size),
            windows=asked.windows,
            batch_size=plan.batch_size,
        )
        if check.largest > asked.limit:
            raise CheckError(
                f"{self.path}: largest difference to the whole image {check.largest:.1e}, "
                f"the limit is {asked.limit:g}",
                hint="a larger overlap, or a larger tiled_infer.self_check.limit",
            )
        return check

    def _assemble(self, rows: Rows, report: ImageReport) -> ImageReport:
        tools, image, contract = self.tools, self.image, self.tools.model.contract
        mpp = known_mpp(image, tools.config)
        on_mask = None if self.regions is None else self.regions.on(*self.target)
        done: list[ImageReport] = []

        def vouch(counts: tuple[ClassCount, ...], areas: Areas) -> None:
            drift = self._drift(areas)
            scale = known_scale(self.image, tools.config, contract)
            done.append(report._replace(counts=counts, drift=drift, scale=scale, image=self.digest))
            done[0].save(tools.assembly.output.report(self.name))

        tools.assembly.assemble(
            self.name,
            image,
            rows,
            channels=contract.channels,
            large=self.large,
            mpp=mpp,
            inside=None if on_mask is None else on_mask.rows,
            pixel=tools.mask_pixel(image),
            vouch=vouch,
        )
        return done[0]

    def _drift(self, areas: Areas) -> tuple[str, ...]:
        """How stain and object size differ from the training images'."""
        plan, statistics = self.tools.plan, self.tools.model.contract.statistics
        if plan is None or statistics is None:
            return ()
        view = self.view
        share = (view.height / self.target[0]) * (view.width / self.target[1])
        sizes = {name: [area * share for area in each] for name, each in areas.items()}
        found = (stain_drift(view, statistics), size_drift(sizes, statistics))
        return tuple(sentence for sentence in found if sentence)
