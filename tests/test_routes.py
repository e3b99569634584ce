"""Every route knows who may call it: the principal of its own end, or it stands on this list."""

from collections.abc import Iterator
from typing import Any, get_args

from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts

from app.main import create_app
from app.portals import edge
from app.settings import Settings

PUBLIC = {
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /static/{version}/{name}",
    "GET /api/v1/public/institutions",
    "GET /api/v1/public/institutions/{institution_id}",
    "GET /api/v1/public/classes",
    "GET /api/v1/public/classes/{class_id}",
    "GET /api/v1/public/search/classes",
    "GET /api/v1/public/search/institutions",
    "GET /api/v1/public/institutions/{institution_id}/teachers",
    "GET /api/v1/public/institutions/{institution_id}/facts",
    "POST /api/v1/public/applications",
    "GET /api/v1/public/applications/{application_no}",  # whoever has the number, which cannot be guessed
    "GET /apply",
    "POST /apply",
    "GET /apply/{application_no}",
    "GET /api/v1/public/teachers/{teacher_id}/photo.jpg",
    "GET /",
    "GET /institutions",
    "GET /institutions/{institution_id}",
    "GET /classes/{class_id}",
    "POST /api/v1/public/scan",
    "POST /api/v1/public/scan/picture",
    "POST /api/v1/public/scan/reports",
    "GET /scan",
    "POST /scan",
    "POST /scan/report",
    "GET /search",
    "GET /calendar/{token}.ics",  # whoever holds the secret address
    "GET /search/institutions",
    "GET /qr/district.png",
    "GET /qr/district.svg",
    "GET /qr/payments/{code}.png",
    "GET /qr/payments/{code}.svg",
    "GET /pay/{code}",  # whoever holds the signed code
    "POST /api/v1/settlement/notices/{connection}",  # the bank signs what it sends
    "POST /api/v1/auth/parent/code",
    "POST /api/v1/auth/parent/session",
    "POST /api/v1/auth/staff/session",
    "GET /parent/sign-in",
    "POST /parent/sign-in",
    "POST /parent/sign-in/code",
    "GET /{end}/sign-in",
    "POST /{end}/sign-in",
}
ANY_ROLE = {"DELETE /api/v1/auth/session", "POST /{end}/sign-out"}


def dependency(declared: Any) -> Any:
    """The function behind an annotation such as `ParentCaller`."""
    return get_args(declared)[1].dependency


CALLERS = {
    dependency(edge.ParentCaller): "parent",
    dependency(edge.InstitutionCaller): "institution",
    dependency(edge.SettlementCaller): "settlement",
    dependency(edge.SupervisionCaller): "supervision",
}


def declared_calls(dependant: Dependant) -> Iterator[Any]:
    yield dependant.call
    for part in dependant.dependencies:
        yield from declared_calls(part)


def routes() -> dict[str, RouteContext]:
    contexts = iter_route_contexts(create_app(Settings()).routes)
    return {f"{method} {context.path}": context for context in contexts for method in (context.methods or {"ANY"}) - {"HEAD"}}


def callers(context: RouteContext) -> set[str]:
    """The roles that may call a route; `anyone` where any signed-in principal may."""
    dependant = getattr(context, "dependant", None)
    calls = set(declared_calls(dependant)) if dependant else set()
    roles = {role for call, role in CALLERS.items() if call in calls}
    return roles or ({"anyone"} if dependency(edge.Anyone) in calls else set())


def test_a_route_without_a_principal_stands_on_the_public_list() -> None:
    assert {name for name, context in routes().items() if not callers(context)} == PUBLIC


def test_a_route_for_any_role_stands_on_a_list_of_its_own() -> None:
    assert {name for name, context in routes().items() if callers(context) == {"anyone"}} == ANY_ROLE


def test_a_route_of_an_end_is_for_the_principal_of_that_end() -> None:
    for name, context in routes().items():
        if name not in PUBLIC | ANY_ROLE:
            path = name.partition(" ")[2].removeprefix("/api/v1")
            assert callers(context) == {path.split("/")[1]}, name
