"""What stands on an enrolment page to be read and signed: a class in the way that is chosen, or the nearest legal plan in its place."""

from datetime import date
from typing import Any, get_args

from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import accepting, judging, rules
from app.contracts.document import Wording
from app.contracts.judging import LegalPlan
from app.contracts.queries import Offer
from app.contracts.terms import Terms, Way
from app.errors import Refused
from app.portals.parent.terms import TermsInput
from app.registry.courses import course_of


def terms_of(offer: Offer, way: Way) -> Terms | None:
    """The terms on which everything that is offered is paid in this way; None where it cannot be."""
    if not offer.lessons:
        return None
    if way == "later":
        return rules.afterwards(offer.lessons) if offer.view.most_unpaid else None
    return rules.monthly(offer.lessons, clock.today()) if way == "parts" else rules.once(offer.lessons, clock.today())


def held_on(terms: Terms | None) -> date | None:
    """The later day that a seat is held for until the first charge opens; None where that is today's."""
    return terms.charges[0].charged_on if terms and terms.charges[0].charged_on > clock.today() else None


def to_sign(
    offer: Offer, wording: Wording | None, terms: Terms | None, refusal: Refused | None = None, planned: Wording | None = None
) -> dict[str, Any]:
    """What the page's template must know: the text for some terms (None: everything at once), or, where nobody may sign it, the
    `refusal` with the text `planned` of its plan. Without a plan nothing is to be signed: `is_closed`."""
    plan: LegalPlan | None = refusal.facts.get("plan") if refusal else None
    signed, text = (plan.terms, planned) if plan else (terms, wording)
    written = TermsInput.of(signed).model_dump_json() if signed else ""
    return {
        "offer": offer,
        "offered_ways": [way for way in get_args(Way) if terms_of(offer, way)],
        "way": terms.way if terms else "once",
        "error": refusal,
        "is_closed": refusal is not None and plan is None,
        "is_agreed": False,
        "wording": text,
        "terms": written,
        "charges": signed.charges if signed else (),
        "held_on": held_on(signed),
        "child_id": "",
        "plan": plan,
        "plan_terms": written if plan else "",
        "plan_wording": None,
    }


async def to_sign_on(session: AsyncSession, offer: Offer, terms: Terms) -> dict[str, Any]:
    """The same for terms of a guardian's choice, judged for everybody. Raises what `accepting.offered` raises."""
    class_id = offer.view.id
    wording, planned = await accepting.offered(session, class_id, terms), None
    refusal = await judging.refusal_for_all(session, await course_of(session, class_id), offer.lessons, terms)
    if refusal and (plan := refusal.facts.get("plan")):
        planned = await accepting.offered(session, class_id, plan.terms)
    return to_sign(offer, wording, terms, refusal, planned)
