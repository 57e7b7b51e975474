"""The presets of the models that look at a whole window at every point."""

from trainer.knobs import Model, Preset

WINDOW_PRESETS: dict[tuple[Model, Preset], dict[str, object]] = {
    ("dagmm", "small"): {},
    ("dagmm", "base"): {"layers": (64, 32), "code": 4, "epochs": 60, "threads": 2},
    # Zong et al., ICLR 2018, as for KDDCUP
    ("dagmm", "paper"): {
        "layers": (60, 30, 10),
        "code": 1,
        "penalty_weight": 5e-3,
        "learning_rate": 1e-4,
        "batch": 1024,
        "epochs": 200,
        "threads": 2,
    },
    ("lstm_vae", "small"): {},
    ("lstm_vae", "base"): {"window_length": 64, "hidden": 64, "epochs": 60, "threads": 2},
    # the comparison of Su et al., KDD 2019, and the public code it took
    ("lstm_vae", "paper"): {
        "window_length": 100,
        "hidden": 64,
        "learning_rate": 1e-3,
        "epochs": 60,
        "threads": 2,
    },
    ("mad_gan", "small"): {},
    ("mad_gan", "base"): {"hidden": 100, "learning_rate": 1e-3, "epochs": 60, "threads": 2},
    # Li et al., ICANN 2019
    ("mad_gan", "paper"): {
        "hidden": 100,
        "learning_rate": 1e-3,
        "batch": 500,
        "epochs": 100,
        "threads": 2,
    },
    ("mtad_gat", "small"): {},
    ("mtad_gat", "base"): {
        "window_length": 41,
        "hidden": 96,
        "embed": 32,
        "learning_rate": 1e-3,
        "epochs": 60,
        "threads": 2,
    },
    # the sizes of Zhao et al., ICDM 2020, and of the public code
    ("mtad_gat", "paper"): {
        "window_length": 101,
        "hidden": 150,
        "depth": 3,
        "embed": 0,
        "dropout": 0.3,
        "learning_rate": 1e-3,
        "epochs": 60,
        "threads": 2,
    },
    ("rvae", "small"): {},
    ("rvae", "base"): {"hidden": 64, "dense": 64, "latent": 16, "epochs": 60, "threads": 2},
    # what the service of the aSTEP project asks for unless told otherwise
    ("rvae", "paper"): {"learning_rate": 1e-3, "batch": 256, "epochs": 60, "threads": 2},
    ("usad", "small"): {},
    ("usad", "base"): {"hidden": 1024, "latent": 100, "epochs": 60, "threads": 2},
    # Audibert et al., KDD 2020: as wide as the windows, a code of 40 numbers per point
    ("usad", "paper"): {
        "hidden": 1_000_000,
        "latent": 480,
        "last_e": 70.0,
        "batch": 7919,
        "epochs": 70,
        "threads": 2,
    },
    ("vae_lstm", "small"): {},
    ("vae_lstm", "base"): {
        "window_length": 144,
        "windows": 6,
        "hidden": 512,
        "lstm_hidden": 64,
        "epochs": 60,
        "threads": 2,
    },
    # the sizes of Lin et al., ICASSP 2020, for windows of 48 points
    ("vae_lstm", "paper"): {
        "window_length": 576,
        "windows": 12,
        "hidden": 512,
        "lstm_hidden": 64,
        "learning_rate": 4e-4,
        "batch": 32,
        "epochs": 60,
        "threads": 2,
    },
}
