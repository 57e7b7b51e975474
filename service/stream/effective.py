"""What holds of one entity: its merged policy, what nobody said filled in, and who said what."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from service.stream.policy import SINGLE, UNSAID, Maintenance, Policies, Policy, merged
from service.stream.serving import Serving


class PoliciesInForce(Struct, frozen=True):
    """The operators' document, and the epoch of the configuration that holds it."""

    epoch: int
    policies: Policies


class Effective(Struct, frozen=True):
    """The policy of one entity; a field that is left out in it has no value at all."""

    entity: str
    bundle: str | None  # that scores it
    epoch: int
    policy: Policy  # every field, every dimension that is named
    own: Policy | None  # what is said of this entity alone
    sources: dict[str, str]  # field -> default | pattern <pattern> | entity; the others: nobody
    unknown_dimensions: list[str]  # named in the policy, and not of the bundle


def in_force(serving: Serving) -> PoliciesInForce:
    """The document that a replica serves."""
    return PoliciesInForce(serving.epoch, serving.configuration.policies)


def effective(serving: Serving, entity: str) -> Effective:
    """What holds of an entity, whether or not anything was ever seen of it."""
    policies = serving.configuration.policies
    policy = policies.of(entity)
    bundle = serving.bundle_of(entity)
    budget = None if bundle is None else serving.folds[bundle].budget
    return Effective(
        entity=entity,
        bundle=bundle,
        epoch=serving.epoch,
        policy=_filled(policy, budget),
        own=policies.entities.get(entity),
        sources={
            path: level.source
            for level in policies.levels(entity)
            for path in _said(level.policy, among=policy.maintenance)
        },
        unknown_dimensions=unknown_dimensions(serving, entity, policy),
    )


def unknown_dimensions(serving: Serving, entity: str, policy: Policy) -> list[str]:
    """Names in a policy that are not dimensions of the bundle of the entity, if it has one."""
    bundle = serving.bundle_of(entity)
    if bundle is None or not policy.dimensions:
        return []
    known = set(serving.folds[bundle].bundle.manifest.dimensions)
    return [name for name in policy.dimensions if name not in known]


def _filled(policy: Policy, budget: float | None) -> Policy:
    unsaid = msgspec.structs.replace(UNSAID, budget=budget)
    dimensions = {name: policy.of_dimension(name) for name in policy.dimensions}
    return msgspec.structs.replace(merged(unsaid, policy), dimensions=dimensions)


def _said(policy: Policy, *, among: tuple[Maintenance, ...]) -> Iterator[str]:
    """Path of each field that one level says; windows by their place among all."""
    yield from (name for name in SINGLE if getattr(policy, name) is not None)
    yield from (f"maintenance[{among.index(window)}]" for window in policy.maintenance)
    for name, dimension in policy.dimensions.items():
        for field in dimension.__struct_fields__:
            if getattr(dimension, field) is not None:
                yield f"dimensions.{name}.{field}"
