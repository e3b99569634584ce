"""The counter that a parent stands before: a class's offer, and the children who may join it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

from fastapi import Request
from markupsafe import Markup

from app.contracts.checkout import Checkout, Checkouts, Child
from app.db import District
from app.portals.pages import environment
from app.portals.parent.children import NEW_CHILD, TypedChild
from app.registry import consenting
from app.registry.family_queries import StudentView
from app.security import Parent


async def checkout_of(request: Request, caller: Parent, home: District, class_id: UUID) -> Checkout:
    """A class that was approved, and the parent's children. Raises NotFound("registry.class_not_found")."""
    return await cast(Checkouts, request.app.state.checkouts).checkout(home, caller.guardian_id, class_id)


def with_choice(typed: TypedChild, children: Sequence[Child | StudentView]) -> TypedChild:
    """What a form says, with who is chosen in it: whoever was, a new child that was typed, else an only one; of several nobody."""
    if typed.chosen or (len(children) > 1 and not typed.name):
        return typed
    return replace(typed, chosen=NEW_CHILD if typed.name or not children else str(children[0].id))


def family_of(checkout: Checkout, typed: TypedChild) -> dict[str, Any]:
    """What the page's template must know of the family; `radios` are its children, ready to be shown."""
    chosen = with_choice(typed, checkout.children)
    radios = environment.get_template("family.html").module.child_radios  # type: ignore[attr-defined]
    return {
        "children": checkout.children,
        "typed": chosen,
        "new_child": NEW_CHILD,
        "consent_text": consenting.consent_text(),
        "radios": cast(Markup, radios(checkout.children, chosen)),
    }
