import numpy as np
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from trainer.measures.events import FloatArray
from trainer.pictures.latent import principal
from trainer.pictures.thinning import extremes, highest

CURVES = arrays(
    np.float64,
    st.integers(0, 300),
    elements=st.one_of(st.floats(-1e9, 1e9), st.just(float("nan"))),
)


@given(CURVES, st.integers(1, 40))
def test_every_peak_of_every_bin_stays_and_little_else(values: FloatArray, bins: int) -> None:
    rows = extremes(values, bins)
    assert len(rows) <= 2 * bins + 2
    assert (np.diff(rows) > 0).all()
    if len(values):
        assert (rows[0], rows[-1]) == (0, len(values) - 1)
    edges = np.linspace(0, len(values), bins + 1).astype(int)
    if len(values) > 2 * bins:
        for part, kept in zip(
            np.split(values, edges[1:-1]),
            np.split(values[rows], np.searchsorted(rows, edges[1:-1])),
            strict=True,
        ):
            if not np.isnan(part).all():
                assert np.nanmax(kept) == np.nanmax(part)
                assert np.nanmin(kept) == np.nanmin(part)


@given(CURVES.filter(len), st.integers(1, 40))
def test_the_highest_of_each_bin_covers_all_of_them(values: FloatArray, bins: int) -> None:
    cells, rows = highest(values[:, None], bins)
    assert cells.shape == (min(bins, len(values)), 1)
    assert (rows[0], rows[-1]) == (0, len(values))
    assert cells.max() == np.nan_to_num(values).max()


def test_principal_components_do_not_depend_on_the_sign_of_the_codes_basis() -> None:
    codes = np.random.default_rng(0).normal(size=(50, 3)) * [5.0, 2.0, 0.1]
    places, shares = principal(codes)
    assert places.shape == (50, 2)
    assert shares[0] > shares[1] > 0
    np.testing.assert_allclose(np.abs(np.corrcoef(places[:, 0], codes[:, 0])[0, 1]), 1, atol=0.01)


def test_codes_of_one_number_have_one_component() -> None:
    places, shares = principal(np.arange(5.0)[:, None])
    assert shares.tolist() == [1.0, 0.0]
    assert not places[:, 1].any()
