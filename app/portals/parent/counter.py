"""The counter that a parent stands before: a class's offer, and the children who may join it."""

from typing import Any, cast
from uuid import UUID

from fastapi import Request
from markupsafe import Markup

from app.contracts.checkout import Checkout, Checkouts
from app.db import District
from app.portals.pages import environment
from app.portals.parent.children import NEW_CHILD, TypedChild
from app.registry import consenting
from app.security import Parent


async def checkout_of(request: Request, caller: Parent, home: District, class_id: UUID) -> Checkout:
    """A class that was approved, and the parent's children. Raises NotFound("registry.class_not_found")."""
    return await cast(Checkouts, request.app.state.checkouts).checkout(home, caller.guardian_id, class_id)


def family_of(checkout: Checkout, typed: TypedChild) -> dict[str, Any]:
    """What the page's template must know of the family; `radios` are its children, ready to be shown."""
    first = str(checkout.children[0].id) if checkout.children else NEW_CHILD
    chosen = typed if typed.chosen else TypedChild(first)
    radios = environment.get_template("family.html").module.child_radios  # type: ignore[attr-defined]
    return {
        "children": checkout.children,
        "typed": chosen,
        "new_child": NEW_CHILD,
        "consent_text": consenting.consent_text(),
        "radios": cast(Markup, radios(checkout.children, chosen)),
    }
