"""The options of `gaugewatch-trainer fit`, in groups."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from service.errors import SettingInvalid
from service.scoring.bundle import load_bundle
from trainer.attended import Comforts
from trainer.cli_options import Columns, Data
from trainer.config import Config, MaskMode, Model, Preset
from trainer.recipe import Source, configured, of_bundle, of_file, of_pairs, together

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file: knob = value, model and preset too.")
]
Knobs = Annotated[
    list[str] | None, typer.Option("--set", help="Any knob: key=value; repeat. See `options`.")
]


@dataclass(frozen=True)
class Given:
    """What is trained and tested on."""

    data: Data
    test_data: Annotated[
        Path | None, typer.Option(help="Test half, where --data does not hold it (CSV).")
    ] = None
    labels: Annotated[
        Path | None, typer.Option(help="Incidents; those labelled true are not learned from.")
    ] = None
    columns: Columns = None


@dataclass(frozen=True)
class Made:
    """The bundle that is made, and what is said of it."""

    output: Annotated[Path, typer.Option(help="Folder that bundles are written into.")]
    name: Annotated[str, typer.Option(help="Name of the bundle.")]
    period_seconds: Annotated[float, typer.Option(min=1e-3, help="Time between two points.")]
    untrained: Annotated[
        bool, typer.Option(help="Also measure the network with initial weights.")
    ] = False
    report: Annotated[bool, typer.Option(help="Write report.md, report.html, plots.")] = True


@dataclass(frozen=True)
class Recipe:
    """Model, preset and knobs, by themselves, in a file, or of a bundle."""

    model: Annotated[Model | None, typer.Option(help="Kind of model.")] = None
    preset_name: Annotated[Preset | None, typer.Option("--preset")] = None
    config_file: ConfigFile = None
    like: Annotated[
        Path | None, typer.Option(help="Folder of a bundle whose configuration is taken.")
    ] = None
    knobs: Knobs = None
    seed: Annotated[int | None, typer.Option(min=0)] = None
    epochs: Annotated[int | None, typer.Option(min=0, help="0: the untrained network.")] = None
    linear_skip: Annotated[bool | None, typer.Option(help="Model what a PCA leaves over.")] = None
    quantise: Annotated[bool | None, typer.Option("--quantise", help="gru_vae: serve in int8.")] = (
        None
    )
    mask_mode: Annotated[MaskMode | None, typer.Option(help="slmr: what learning hides.")] = None
    dilations: Annotated[str | None, typer.Option(help="slmr: one per scale, 1,1,2,2.")] = None
    trim: Annotated[
        float | None, typer.Option(help="Share of the oddest windows not to train on: 0.01.")
    ] = None

    def config(self) -> Config:
        """All of them together; raises SettingInvalid."""
        named: dict[str, object] = {
            "model": self.model,
            "preset": self.preset_name,
            "seed": self.seed,
            "epochs": self.epochs,
            "dilations": self.dilations,
            "mask_mode": self.mask_mode,
            "is_linear_skip": self.linear_skip,
            "is_int8": self.quantise,
            "trim": self.trim,
        }
        return configuration(
            together(named, of_pairs(self.knobs or [])), self.config_file, self.like
        )


@dataclass(frozen=True)
class Attendance:
    """What goes along with a training and changes nothing of it."""

    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, help="Epochs between two checkpoints.")
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = (
        False
    )
    visualise_every: Annotated[
        int | None, typer.Option(min=1, help="Epochs between two pictures of the training.")
    ] = None
    tensorboard: Annotated[Path | None, typer.Option(help="Folder of TensorBoard's files.")] = None
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="A line per epoch; twice: update.")
    ] = 0
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")] = False

    def comforts(self) -> Comforts:
        """The same for a training."""
        return Comforts(
            checkpoint_every=self.checkpoint_every,
            is_resumed=self.resume,
            visualise_every=self.visualise_every,
            tensorboard=self.tensorboard,
            verbosity=0 if self.quiet else self.verbose,
        )


@dataclass(frozen=True)
class Hands:
    """Whether entities are fitted each by itself, and by how many workers where."""

    per_entity: Annotated[bool, typer.Option(help="One bundle per entity, not one for all.")] = (
        False
    )
    workers: Annotated[
        int | None, typer.Option(min=1, help="--per-entity: fits at once; else as many as fit.")
    ] = None
    ray: Annotated[
        str | None, typer.Option(help="--per-entity: address of a Ray cluster that fits, or auto.")
    ] = None

    def expect_work(self) -> None:
        """Raise SettingInvalid where there are workers for one fit."""
        if not self.per_entity and (self.workers or self.ray):
            raise SettingInvalid("--workers and --ray need --per-entity")


def configuration(flags: Source, file: Path | None, like: Path | None) -> Config:
    """Of flags, a TOML file and the folder of a bundle."""
    return configured(
        flags,
        file=None if file is None else of_file(file),
        like=None if like is None else of_bundle(load_bundle(like)),
    )
