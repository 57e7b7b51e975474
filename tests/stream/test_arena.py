import numpy as np
from hypothesis import given, settings, strategies as st

from service.scoring.fold import Fold, States
from service.stream.arena import Arena, Held


def held(number: int) -> Held:
    return Held(slot=-1, token=b"%d" % number, seq=number)


def state(fold: Fold, number: int) -> States:
    states = fold.fresh(np.array([1]))
    states["model"]["have"] = number
    return states


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["put", "drop", "get"]), st.integers(0, 9)), max_size=60),
    st.integers(2, 8),
)
def test_an_arena_is_a_bounded_dictionary(
    fold: Fold, actions: list[tuple[str, int]], limit: int
) -> None:
    arena, model = Arena(fold, max_entities=limit), dict[str, int]()
    for number, (action, which) in enumerate(actions, start=1):
        entity = f"e{which}"
        if action == "put":
            model.pop(entity, None)
            model[entity] = number
            if len(model) > limit:
                del model[next(iter(model))]
            arena.put(entity, state(fold, number)[0], held(number))
        elif action == "drop":
            model.pop(entity, None)
            arena.drop(entity)
        elif entity in model:
            model[entity] = model.pop(entity)
        found = arena.get(entity)
        assert (None if found is None else found.seq) == model.get(entity)
        if entity in model:
            model[entity] = model.pop(entity)
        assert len(arena) == len(model)
    kept = [arena.get(entity) for entity in model]
    assert arena.states([one for one in kept if one]).shape == (len(model),)
    haves = [int(arena.states([one])["model"]["have"][0]) for one in kept if one]
    assert haves == list(model.values())


def test_a_state_is_handed_out_as_a_copy(fold: Fold) -> None:
    arena = Arena(fold, max_entities=8)
    one = arena.put("alpha", state(fold, 1)[0], held(1))
    arena.states([one])["model"]["have"] = 99
    assert arena.states([one])["model"]["have"][0] == 1
