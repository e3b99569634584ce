"""An alert's facts in words: what people read of the JSON that a rule left."""

from datetime import datetime
from typing import Any

from app.clock import SHANGHAI
from app.money import yuan
from app.portals.words import word
from app.supervision.rules import DEFAULT_LINES, MINIMUM_BALANCE_SOURCE

_LABELS = {
    "reference": "相关编号",
    "purpose": "用途",
    "amount_fen": "金额",
    "line_fen": "预警线",
    "balance_fen": "银行余额",
    "as_of": "银行时间",
    "business_on": "业务日期",
    "value_on": "账期",
    "statement_fen": "银行余额",
    "cash_fen": "账簿余额",
    "outcome": "原因",
    "status": "结果",
    "reject_code": "未执行原因",
}
_SUBJECTS = {"purpose": "purpose", "outcome": "receipt", "status": "instruction", "reject_code": "reject_code"}


def told(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of every fact that people can read, in the order in which they are asked for."""
    return [(label, _text(name, facts[name])) for name, label in _LABELS.items() if facts.get(name) is not None]


def line_source(rule: str, facts: dict[str, Any]) -> str | None:
    """Where an alert's line comes from, with the source's grade; None where no source is known for the rule."""
    if rule != "minimum_balance":
        return None
    if facts.get("line_fen") != DEFAULT_LINES.minimum_balance_fen:
        return "监管部门设定"
    source_zh, grade = MINIMUM_BALANCE_SOURCE
    return f"默认参照{source_zh}（{grade} 级：{word(grade, 'grade')}），监管部门可另行设定"


def headline(facts: dict[str, Any]) -> str:
    """The one line of a list: how much, and over or under which line."""
    amount_fen = facts.get("amount_fen", facts.get("balance_fen"))
    if amount_fen is None:
        return f"账期 {facts['value_on']}" if "value_on" in facts else ""
    line_fen = facts.get("line_fen")
    return yuan(amount_fen) + (f"，预警线 {yuan(line_fen)}" if line_fen is not None else "")


def _text(name: str, value: Any) -> str:
    if name.endswith("_fen"):
        return yuan(value)
    if name == "as_of":
        return datetime.fromisoformat(value).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")
    return word(value, _SUBJECTS[name]) if name in _SUBJECTS else str(value)
