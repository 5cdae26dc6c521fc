from __future__ import annotations

import pytest

from gateway.models.principal import Principal, Role


@pytest.mark.parametrize(
    ("own", "allowed"),
    [
        (Role.PROXY, {Role.PROXY}),
        (Role.FEEDBACK, {Role.FEEDBACK}),
        (Role.READ, {Role.READ}),
        (Role.REVIEW, {Role.REVIEW, Role.READ, Role.FEEDBACK}),
        (Role.ADMIN, set(Role)),
    ],
)
def test_a_role_allows_what_it_is_said_to(own: Role, allowed: set[Role]) -> None:
    principal = Principal("someone", frozenset({own}))
    assert {role for role in Role if principal.has_role(role)} == allowed
