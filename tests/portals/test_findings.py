"""What families read of the rules: what binds, with its source; never advice as if it were law."""

import re
from dataclasses import asdict, replace

from app.policy.findings import Finding
from app.portals.pages import environment

LAW = Finding("charge.cap", "fen", True, 1, 2, "文件", "B", "不得超过")
ADVICE = replace(LAW, rule="charge.term", grade="U", message_zh="不得跨学期", binding=False)


def shown(*findings: object, way: str = "once") -> str:
    macro = environment.get_template("family.html").module.rule_findings  # type: ignore[attr-defined]
    return str(macro(list(findings), way))


def of(message_zh: str, *charges: int) -> dict[str, object]:
    return asdict(replace(LAW, message_zh=message_zh)) | {"charges": list(charges)}


def outline(page: str) -> list[str]:
    """Headings and messages in their order."""
    return [heading or message for heading, message in re.findall(r"<h3[^>]*>([^<]*)</h3>|<div>([^<]+)</div>", page)]


def test_advice_is_not_shown_as_law() -> None:
    page = shown(asdict(LAW), asdict(ADVICE))
    assert "不得超过" in page
    assert "B 级" in page
    assert "不得跨学期" not in page


def test_what_was_stored_before_there_was_advice_is_shown() -> None:
    old = asdict(LAW)
    del old["binding"]
    assert "不得超过" in shown(old)


def test_what_was_found_of_several_charges_stands_under_their_headings() -> None:
    advice = asdict(ADVICE) | {"charges": [2]}
    found = [of("本次 2900 元", 1), of("资质有效", 1, 2), of("本次 300 元", 2), advice]
    assert outline(shown(*found, way="parts")) == ["每一期", "资质有效", "第 1 期", "本次 2900 元", "第 2 期", "本次 300 元"]
    lessons = [of("资质有效", 1, 4), of("第一节的日子", 1), of("最后一节的日子", 4)]
    assert outline(shown(*lessons, way="later")) == ["每节课", "资质有效", "第 1 节课", "第一节的日子", "第 4 节课", "最后一节的日子"]


def test_one_charge_or_none_that_is_known_needs_no_heading() -> None:
    assert outline(shown(of("资质有效", 1), of("本次 400 元", 1))) == ["资质有效", "本次 400 元"]
    assert outline(shown(asdict(LAW), asdict(LAW), way="parts")) == ["不得超过", "不得超过"]
