"""Government guide prices: by class size, per standard lesson, with the pack's float and rounding."""

from collections.abc import Iterator

from app.money import yuan
from app.policy.catalogue import COMPULSORY, Mode
from app.policy.facts import ClassFacts
from app.policy.findings import Finding, found
from app.policy.packs import HIGHEST_BPS, Pack, Rule


def judge_guide(pack: Pack, course: ClassFacts, price_fen: int, lesson_count: int) -> Iterator[Finding]:
    """Whether the price (fen) of so many paid lessons stays under the guide price, where there is one for such a class.

    Subject training of compulsory-education age alone has guide prices; a gift does not make the paid lessons cheaper.
    """
    rule = pack.find("price.guide")
    if rule is None or not rule.binds(course.kind) or course.stage not in COMPULSORY:
        return
    if course.class_size is None or course.lesson_minutes is None:
        return
    cap_fen = guide_cap_fen(pack, course.mode, course.lesson_minutes, course.class_size)
    if cap_fen is None:
        return
    shown = f"{yuan(-(-price_fen // lesson_count))}"
    said = f"政府指导价（含上浮）每课时不得超过{yuan(cap_fen)}，{course.class_size}人班{course.lesson_minutes}分钟课时收{shown}"
    limit_fen = cap_fen * lesson_count
    yield found("price.guide", rule, "fen", price_fen <= limit_fen, price_fen, limit_fen, said)


def guide_fen(pack: Pack, mode: Mode, lesson_minutes: int, class_size: int) -> int | None:
    """The guide price (fen) of a lesson of so many minutes in a class of so many, before any float; None where there is none."""
    rule = pack.find("price.guide")
    standard_fen = None if rule is None else _standard_fen(rule, class_size)
    if rule is None or standard_fen is None:
        return None
    return _rounded(standard_fen * lesson_minutes, rule.limits[f"{mode}_minutes"], rule.choices["rounding"])


def guide_cap_fen(pack: Pack, mode: Mode, lesson_minutes: int, class_size: int) -> int | None:
    """The most (fen) that such a lesson may cost with the float up; None where the pack has no guide price."""
    rule = pack.find("price.guide")
    standard_fen = None if rule is None else _standard_fen(rule, class_size)
    if rule is None or standard_fen is None:
        return None
    rounding, minutes, share = rule.choices["rounding"], rule.limits[f"{mode}_minutes"], HIGHEST_BPS + rule.limits["float_bps"]
    if rule.choices["float"] == "before_rounding":
        return _rounded(standard_fen * lesson_minutes * share, minutes * HIGHEST_BPS, rounding)
    return _rounded(_rounded(standard_fen * lesson_minutes, minutes, rounding) * share, HIGHEST_BPS, rounding)


def _standard_fen(rule: Rule, class_size: int) -> int | None:
    """The price of a standard lesson; the pack says up to which size, included, a class is small or medium."""
    if class_size <= rule.limits["small_students"]:
        return rule.limits.get("small_fen")
    if class_size <= rule.limits["medium_students"]:
        return rule.limits.get("medium_fen")
    return rule.limits.get("large_fen")


def _rounded(dividend: int, divisor: int, rounding: str) -> int:
    if rounding == "down":
        return dividend // divisor
    if rounding == "up":
        return -(-dividend // divisor)
    return (2 * dividend + divisor) // (2 * divisor)
