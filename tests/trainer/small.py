"""A small series with a nonlinear relation, and a configuration that trains in a blink."""

import numpy as np

from service.scoring.series import Series
from trainer.config import Config, Model, preset
from trainer.configs_window import WINDOW_CONFIGS

DIMENSIONS = ("a", "b", "c", "d", "e", "f")
TINY: dict[Model, dict[str, object]] = {
    "blind_spot": {"hidden": 8, "batch": 32, "epochs": 2, "epoch_steps": 5, "clusters": 4},
    "gru_vae": {
        "hidden": 8,
        "dense": 8,
        "latent": 2,
        "flows": 2,
        "lanes": 8,
        "tbptt_steps": 10,
        "epochs": 2,
        "epoch_steps": 5,
        "window_length": 16,
        "clusters": 4,
    },
    "linear": {"clusters": 4},
    "dagmm": {"layers": (8,), "batch": 32, "epochs": 2, "epoch_steps": 5, "clusters": 4},
    "lstm_vae": {
        "window_length": 8,
        "hidden": 8,
        "batch": 32,
        "epochs": 2,
        "epoch_steps": 5,
        "clusters": 4,
    },
    "mad_gan": {
        "window_length": 6,
        "hidden": 8,
        "latent": 3,
        "batch": 32,
        "epochs": 2,
        "epoch_steps": 6,
        "clusters": 4,
    },
    "mtad_gat": {
        "window_length": 7,
        "hidden": 8,
        "embed": 4,
        "batch": 32,
        "epochs": 2,
        "epoch_steps": 5,
        "clusters": 4,
    },
    "rvae": {
        "window_length": 12,
        "hidden": 8,
        "dense": 8,
        "latent": 3,
        "batch": 32,
        "epochs": 2,
        "epoch_steps": 5,
        "clusters": 4,
    },
    "pca": {"window_length": 3},
    "slmr": {"hidden": 8, "batch": 32, "epochs": 2, "epoch_steps": 5, "clusters": 4},
    "usad": {
        "window_length": 5,
        "latent": 8,
        "batch": 32,
        "epochs": 2,
        "epoch_steps": 6,
        "clusters": 4,
    },
    "vae_lstm": {
        "window_length": 24,
        "windows": 3,
        "hidden": 32,
        "lstm_hidden": 8,
        "batch": 32,
        "epochs": 2,
        "epoch_steps": 5,
        "clusters": 4,
    },
}
WINDOWED: list[Model] = [model for model in TINY if model in WINDOW_CONFIGS]


def series(entity: str = "alpha", *, count: int = 1200, level: float = 0.0) -> Series:
    """Six dimensions driven by a wave and its square, which no linear skip can follow."""
    random = np.random.default_rng(len(entity))
    wave = np.sin(np.arange(count) / 9.0) + 0.05 * random.normal(size=count)
    columns = [wave, wave**2, wave**3, np.abs(wave), -wave, np.cos(np.arange(count) / 9.0)]
    noise = 0.02 * random.normal(size=(count, len(columns)))
    return Series(
        entity=entity,
        dimensions=DIMENSIONS,
        timestamps_ms=60_000 * np.arange(count, dtype=np.int64),
        values=level + np.stack(columns, axis=1) + noise,
        label=None,
        segments=(),
    )


def tiny(model: Model = "blind_spot", **changes: object) -> Config:
    return preset("small", model=model, **{**TINY[model], **changes})
