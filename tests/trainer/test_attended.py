import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from service.errors import SettingInvalid
from tests.trainer.small import series, tiny
from trainer.attended import NO_COMFORTS, Comforts, Tell, train
from trainer.config import CONFIGS, Model, NetworkConfig
from trainer.fit import fit
from trainer.fitted import Fitted
from trainer.material import write_history

NETWORKS = [name for name, kind in CONFIGS.items() if issubclass(kind, NetworkConfig)]


class Heard:
    """Stages that remember what they were told."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.told: list[tuple[float, str]] = []

    def __call__(self, title: str, *, total: float | None) -> Tell:
        self.titles.append(title)
        return self.tell

    def tell(self, completed: float, detail: str = "") -> None:
        self.told.append((completed, detail))


def weights(fitted: Fitted) -> torch.Tensor:
    assert fitted.network is not None
    return torch.cat([p.detach().flatten() for p in fitted.network.parameters()])


@pytest.mark.parametrize("model", NETWORKS)
def test_no_comfort_changes_the_weights(model: str, tmp_path: Path) -> None:
    name: Model = model  # type: ignore[assignment]
    lines: list[str] = []
    every = Comforts(
        folder=tmp_path,
        checkpoint_every=1,
        visualise_every=1,
        tensorboard=tmp_path / "events",
        say=lines.append,
        verbosity=2,
    )
    config = tiny(name)
    attended = train([series()], config, Heard(), comforts=every)
    assert bool((weights(attended) == weights(fit([series()], config))).all())
    assert len(lines) == 2 * config.epoch_steps + 2
    with Image.open(tmp_path / "pictures" / "epoch-0002.png") as picture:
        assert picture.size[0] > 500


def test_progress_tells_entities_epochs_loss_and_how_far_it_is() -> None:
    heard = Heard()
    both = [series("alpha"), series("beta")]
    train(both, tiny(), heard, comforts=NO_COMFORTS)
    assert heard.titles == ["training on 2 entities"]
    shares = [share for share, _ in heard.told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert heard.told[0][1].startswith("1/2, loss ")
    assert ", held out " in heard.told[-2][1]
    assert heard.told[-1][1].startswith("2 epochs, kept the weights of ")


@pytest.mark.parametrize(("verbosity", "lines"), [(0, 0), (1, 2), (2, 12)])
def test_verbosity_gives_lines_for_epochs_and_then_for_updates(verbosity: int, lines: int) -> None:
    said: list[str] = []
    train([series()], tiny(), Heard(), comforts=Comforts(say=said.append, verbosity=verbosity))
    assert len(said) == lines
    if lines:
        assert said[-1].startswith("epoch 2/2, update 10/10, loss ")
        for part in ("held out ", "rate ", "s left"):
            assert part in said[-1]


def test_pictures_are_drawn_every_so_many_epochs(tmp_path: Path) -> None:
    comforts = Comforts(folder=tmp_path, visualise_every=2)
    train([series()], tiny(epochs=5), Heard(), comforts=comforts)
    names = sorted(file.name for file in (tmp_path / "pictures").iterdir())
    assert names == ["epoch-0002.png", "epoch-0004.png"]


def test_tensorboard_gets_losses_and_learning_rate(tmp_path: Path) -> None:
    fitted = train(
        [series()], tiny(), Heard(), comforts=Comforts(Path("one"), tensorboard=tmp_path)
    )
    events = EventAccumulator(str(tmp_path / "one")).Reload()
    assert [one.step for one in events.Scalars("loss/training")] == list(range(1, 11))
    held_out = [one.value for one in events.Scalars("loss/validation")]
    assert held_out == pytest.approx([p.validation_loss for p in fitted.history], rel=1e-6)
    assert len(events.Scalars("learning_rate")) == 12


def test_without_the_extra_tensorboard_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingInvalid, match="needs the extra"):
        train([series()], tiny(), Heard(), comforts=Comforts(tensorboard=tmp_path))


def test_history_tells_of_every_validation(tmp_path: Path) -> None:
    fitted = fit([series()], tiny(validate_steps=3))
    write_history(tmp_path, fitted.history, best_epoch=fitted.best_epoch)
    told = json.loads((tmp_path / "history.json").read_text())
    assert [one["step"] for one in told["epochs"]] == [3, 5, 6, 9, 10]
    assert all(one["learning_rate"] > 0 for one in told["epochs"])


def test_nothing_is_attended_where_nothing_is_trained() -> None:
    heard = Heard()
    train([series()], tiny("pca"), heard, comforts=NO_COMFORTS)
    assert heard.titles == []
