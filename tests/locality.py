"""Localities that were never shipped: a pack with some rule stated otherwise."""

from typing import Any

from app.policy.packs import Edition, Pack


def stating(pack: Pack, rule_id: str, **changes: Any) -> Pack:
    """The pack with one of its rules changed, as a neighbourhood of its own would state it."""
    rule = pack.rule(rule_id).model_copy(update=changes)
    return Pack((*pack.editions, Edition(id="neighbourhood", version=1, name_zh="某地", locality="510112", rules={rule_id: rule})))
