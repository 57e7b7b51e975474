import torch

from tests.trainer.small import series, tiny
from trainer.configs_window import MtadGatConfig
from trainer.fit import fit
from trainer.graphs import window_graph, window_outputs
from trainer.models.mtad_gat import GraphAttention, MtadGat

CONFIG = MtadGatConfig(window_length=7, hidden=5, embed=4)
DIMENSIONS = 3


def network(**changes: object) -> MtadGat:
    torch.manual_seed(0)
    return MtadGat(DIMENSIONS, CONFIG.model_copy(update=changes)).eval()


def windows() -> torch.Tensor:
    return torch.rand(4, 7, DIMENSIONS, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_attention_is_what_the_paper_says_pair_by_pair() -> None:
    torch.manual_seed(0)
    attention, v = GraphAttention(3, 6, embed=4), torch.rand(2, 3, 6)
    attention.prior.normal_()
    h, alpha = attention(v)
    e = torch.empty(2, 3, 3)
    for i in range(3):
        for j in range(3):
            pair = torch.cat([v[:, i], v[:, j]], dim=1)
            both = torch.cat([attention.own.weight, attention.others.weight], dim=1)
            u = torch.nn.functional.leaky_relu(pair @ both.T + attention.own.bias, 0.2)
            e[:, i, j] = u @ attention.pay.weight[0] + attention.prior[i, j]
    torch.testing.assert_close(alpha, torch.softmax(e, dim=2))
    torch.testing.assert_close(h, torch.sigmoid(torch.einsum("bij,bjt->bit", alpha, v)))


@torch.no_grad()
def test_forecast_does_not_see_the_last_row_and_both_heads_share_the_error() -> None:
    model, x = network(gamma=0.5), windows()
    before, _ = model.represent(x[:, :-1])
    after, _ = model.represent(x[:, 1:])
    forecast, rebuilt = model.forecast(before), model.reconstruct(after, points=6)[:, 0]
    value = x[:, -1]
    said = model.judge(x, value)
    error = ((value - forecast).abs() + 0.5 * (value - rebuilt).abs()) / 1.5
    torch.testing.assert_close(said.error, error)
    torch.testing.assert_close(said.mean, (forecast + 0.5 * rebuilt) / 1.5)


def test_window_graph_tells_the_attention() -> None:
    fitted = fit([series()], tiny("mtad_gat", epochs=1))
    length = fitted.config.window_length
    names = window_outputs(fitted)
    assert names[3:] == ["feature_attention", "time_attention"]
    with torch.no_grad():
        entity = torch.ones(4, dtype=torch.int64)
        said = dict(
            zip(names, window_graph(fitted)(torch.randn(4, length, 6), entity), strict=True)
        )
    assert said["feature_attention"].shape == (4, 6, 6)
    assert said["time_attention"].shape == (4, length - 1, length - 1)
    for name in names[3:]:
        torch.testing.assert_close(said[name].sum(2), torch.ones(said[name].shape[:2]))


def test_pairs_are_judged_by_twice_the_numbers_of_a_node_unless_told() -> None:
    model = network(embed=0)
    assert model.dimensions.own.out_features == 12
    assert model.points.own.out_features == 2 * DIMENSIONS
