"""What families read of the rules: what binds, with its source; never advice as if it were law."""

from dataclasses import asdict, replace

from app.policy.findings import Finding
from app.portals.pages import environment

LAW = Finding("charge.cap", "fen", True, 1, 2, "文件", "B", "不得超过")
ADVICE = replace(LAW, rule="charge.term", grade="U", message_zh="不得跨学期", binding=False)


def shown(*findings: object) -> str:
    macro = environment.get_template("family.html").module.rule_findings  # type: ignore[attr-defined]
    return str(macro(list(findings)))


def test_advice_is_not_shown_as_law() -> None:
    page = shown(asdict(LAW), asdict(ADVICE))
    assert "不得超过" in page
    assert "B 级" in page
    assert "不得跨学期" not in page


def test_what_was_stored_before_there_was_advice_is_shown() -> None:
    old = asdict(LAW)
    del old["binding"]
    assert "不得超过" in shown(old)
