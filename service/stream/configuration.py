"""The configuration: versions in force, which bundle scores whom, and the policies.

One document in Redis, replaced whole under an epoch that every replacement raises. Commits carry
the epoch of the configuration they were made under, so that replicas agree.
"""

from collections.abc import Callable
from functools import cached_property

import msgspec
from msgspec import Struct

from service.errors import BadInput, ConfigurationUnreadable, UnknownBundle
from service.stream.patterns import matcher, remembering
from service.stream.policy import Policies, Policy
from service.stream.policy_limits import MAX_ENTITIES, checked, checked_policy

MAX_VERSIONS_BEFORE = 20
MAX_PATTERNS = 1_000
MAX_ASSIGNED_ENTITIES = 100_000


class Active(Struct, frozen=True, forbid_unknown_fields=True):
    """The version in force of one bundle."""

    version: str
    is_pinned: bool = False  # somebody activated it; otherwise it is what the folder calls current
    before: tuple[str, ...] = ()  # what a rollback goes back to is last


class Configuration(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """What all replicas agree on."""

    active: dict[str, Active] = {}  # by bundle
    default: str | None = None  # bundle of entities that nothing else decides on
    patterns: tuple[tuple[str, str], ...] = ()  # shell pattern of entities, bundle; first match
    entities: dict[str, str] = {}  # entity -> bundle
    shadows: dict[str, str] = {}  # bundle -> the version that scores silently beside it
    policies: Policies = Policies()  # what opens and ends incidents, by entity

    def assigned(self, entity: str) -> str | None:
        """The bundle an operator chose for this entity: by its name, else by a pattern."""
        if (own := self.entities.get(entity)) is not None:
            return own
        return self._by_pattern(entity) if self.patterns else None

    @property
    def assigned_bundles(self) -> set[str]:
        """Those that operators chose for anybody."""
        return {*self.entities.values(), *(name for _, name in self.patterns)}

    def activated(self, name: str, version: str) -> "Configuration":
        """With this version in force; a shadow of it ends."""
        old = self._active(name)
        before = old.before if old.version == version else (*old.before, old.version)
        active = Active(version, is_pinned=True, before=before[-MAX_VERSIONS_BEFORE:])
        return self._with_active(name, active)

    def rolled_back(self, name: str) -> "Configuration":
        """With the version before in force; a shadow of it ends. Raises BadInput without one."""
        old = self._active(name)
        if not old.before:
            raise BadInput(f"expected a version of {name!r} before {old.version}, there is none")
        active = Active(old.before[-1], is_pinned=True, before=old.before[:-1])
        return self._with_active(name, active)

    def found(self, current: dict[str, str]) -> "Configuration":
        """With the versions that a folder calls current, by bundle, where nobody pinned another.

        A bundle that nobody pinned and the folder no longer has is left out.
        """
        kept = {name: old for name, old in self.active.items() if old.is_pinned}
        new = {name: self._found(name, version) for name, version in current.items()}
        return msgspec.structs.replace(self, active={**new, **kept})

    def shadowed(self, name: str, version: str | None) -> "Configuration":
        """With this version scoring silently beside the active one, or none."""
        shadows = {n: v for n, v in self.shadows.items() if n != name}
        if version is not None:
            if self._active(name).version == version:
                raise BadInput(f"{name}/{version} is active; a shadow is another version")
            shadows[name] = version
        return msgspec.structs.replace(self, shadows=shadows)

    def with_entities(self, entities: dict[str, str]) -> "Configuration":
        """With these bundles for single entities, and for no others."""
        for name in set(entities.values()):
            self._active(name)
        if len(entities) > MAX_ASSIGNED_ENTITIES:
            raise BadInput(f"expected at most {MAX_ASSIGNED_ENTITIES} entities; use a pattern")
        return msgspec.structs.replace(self, entities=entities)

    def patterned(
        self, patterns: tuple[tuple[str, str], ...], default: str | None
    ) -> "Configuration":
        """With these patterns, first match first, and this default."""
        if len(patterns) > MAX_PATTERNS:
            raise BadInput(f"expected at most {MAX_PATTERNS} patterns, came {len(patterns)}")
        for name in [name for _, name in patterns] + ([default] if default else []):
            self._active(name)
        return msgspec.structs.replace(self, patterns=patterns, default=default)

    def with_policies(self, policies: Policies) -> "Configuration":
        """With this document of policies. Raises BadInput."""
        return msgspec.structs.replace(self, policies=checked(policies))

    def with_policy_of(self, entity: str, policy: Policy | None) -> "Configuration":
        """With this policy of one entity; None: what default and patterns say."""
        entities = {one: own for one, own in self.policies.entities.items() if one != entity}
        if policy is not None:
            entities[entity] = checked_policy(policy)
        if len(entities) > MAX_ENTITIES:
            raise BadInput(f"expected at most {MAX_ENTITIES} entities; use a pattern")
        policies = msgspec.structs.replace(self.policies, entities=entities)
        return msgspec.structs.replace(self, policies=policies)

    def encode(self) -> bytes:
        """As Redis keeps it."""
        return msgspec.json.encode(self)

    @staticmethod
    def decode(document: bytes) -> "Configuration":
        """The inverse of `encode`. Raises ConfigurationUnreadable."""
        try:
            return msgspec.json.decode(document, type=Configuration)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            detail = "the configuration in Redis is of another form; did a newer release write it?"
            raise ConfigurationUnreadable(detail) from error

    @cached_property
    def _by_pattern(self) -> Callable[[str], str | None]:
        matchers = [(matcher(pattern), name) for pattern, name in self.patterns]

        def first(entity: str) -> str | None:
            return next((name for matches, name in matchers if matches(entity)), None)

        return remembering(first)

    def _with_active(self, name: str, active: Active) -> "Configuration":
        shadows = {n: v for n, v in self.shadows.items() if (n, v) != (name, active.version)}
        changed = {**self.active, name: active}
        return msgspec.structs.replace(self, active=changed, shadows=shadows)

    def _active(self, name: str) -> Active:
        try:
            return self.active[name]
        except KeyError:
            raise UnknownBundle(f"expected a bundle of {sorted(self.active)}") from None

    def _found(self, name: str, version: str) -> Active:
        old = self.active.get(name)
        if old is None:
            return Active(version)
        before = old.before if old.version == version else (*old.before, old.version)
        return Active(version, before=before[-MAX_VERSIONS_BEFORE:])
