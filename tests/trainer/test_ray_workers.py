import importlib.util
from pathlib import Path

import numpy as np
import pytest

from service.errors import SettingInvalid
from service.scoring.bundle import load_bundle
from tests.trainer.test_per_entity import one_fit
from trainer.per_entity import fit_side_by_side
from trainer.ray_workers import RayWorkers

HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not HAS_RAY, reason="ray is not installed: pip install gaugewatch[ray]")
def test_fits_in_a_cluster_are_those_of_this_process(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    broken = one_fit(there, "beta")
    broken.halves.train[0].values[5, 1] = np.inf
    made, errors = fit_side_by_side(
        [one_fit(there, "alpha"), broken], workers=2, ray="local", is_quiet=True
    )
    assert list(errors) == ["m-beta"]
    one_fit(here, "alpha")(lambda detail: None)
    ((bundle, seconds),) = made
    assert bundle.manifest.version == load_bundle(here / "m-alpha").manifest.version
    assert seconds > 0


@pytest.mark.skipif(HAS_RAY, reason="ray is installed")
def test_without_the_extra_it_is_told() -> None:
    with pytest.raises(SettingInvalid, match=r"gaugewatch\[ray\]"):
        RayWorkers("auto")
