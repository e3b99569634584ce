"""Facts as they are stored beside a judgement, so that it can be explained, and made anew under other rules, years later."""

from typing import Any

from pydantic import TypeAdapter

from app.policy.facts import SaleFacts

_SALE = TypeAdapter(SaleFacts)


def written(facts: SaleFacts) -> dict[str, Any]:
    """The facts as JSON; what is empty is left out."""
    record: dict[str, Any] = _SALE.dump_python(facts, mode="json", exclude_defaults=True)
    return record


def read(record: dict[str, Any]) -> SaleFacts:
    """What `written` wrote."""
    return _SALE.validate_python(record)
