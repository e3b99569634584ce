"""May this charge be taken at all? The brakes on one sale of lessons, and the nearest sale that would pass them."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from app.money import yuan
from app.policy import charging, pricing
from app.policy.catalogue import KINDS
from app.policy.facts import PricedLesson, SaleFacts
from app.policy.findings import Finding, broken, found
from app.policy.packs import Pack
from app.policy.teaching import judge_sessions

_DAY = timedelta(days=1)
_LENGTH = {"charge.span", "charge.cap", "charge.term"}
"""What a sale breaks by being too long or too dear in itself, whenever it is made."""
_FOR_EVERY_SALE = {("charge.loan", "state"), ("inst.list", "state"), ("inst.paused", "state")}


@dataclass(frozen=True, slots=True)
class Plan:
    """Charges that each pass, to be taken in order, none before its `charged_on`; together they buy the first lessons that were wanted.

    `changes` of: fewer (lessons), later, cheaper, split.
    """

    charges: tuple[SaleFacts, ...]
    changes: tuple[str, ...]
    message_zh: str


def judge_sale(pack: Pack, facts: SaleFacts) -> list[Finding]:
    """Every limit that the pack sets to such a sale, passed or not, in the order of the law."""
    assert facts.kind in KINDS
    assert facts.price_fen >= 1
    assert facts.lesson_count >= 1
    assert facts.gift_lessons >= 0
    assert facts.first_on <= facts.last_on
    course = judge_sessions(pack, facts.course) if facts.course else []
    return [*_sale(pack, facts), *course]


def nearest_plan(pack: Pack, facts: SaleFacts) -> Plan | None:
    """The sale that passes and is nearest to this one: as many of its lessons as may be sold, in few charges, each as early as may be.

    None where no plan helps (a black list, a licence, a pause, a teacher, times of teaching, a loan), and where `schedule` or
    `charged_on` is not known. Later lessons are left out where no time to charge them is legal.
    """
    if facts.charged_on is None or not facts.schedule or _beyond_help(pack, facts):
        return None
    assert [each.on for each in facts.schedule] == sorted(each.on for each in facts.schedule)
    assert (facts.lesson_count, facts.price_fen) == (len(facts.schedule), sum(each.price_fen for each in facts.schedule))
    assert facts.listed_price_fen is None or all(each.listed_fen is not None for each in facts.schedule)
    lessons = _within_lease(pack, facts, _at_legal_prices(pack, facts))
    charges: list[SaleFacts] = []
    sold, since = 0, facts.charged_on
    while sold < len(lessons):
        charge = _next_charge(pack, facts, lessons[sold:], charges, since)
        if charge is None:
            break
        charges.append(charge)
        sold, since = sold + charge.lesson_count, charge.charged_on or since
    return Plan(tuple(charges), _changes(facts, charges), _told(facts, charges)) if charges else None


def charges_of(facts: SaleFacts, parts: Iterable[tuple[int, date]]) -> list[SaleFacts]:
    """What each charge is to be judged by where the first lessons of a sale are charged one after the other, so many on such a day.

    The parts buy no more lessons than `schedule` has, and no day is before the one before it or before `charged_on`.
    """
    charges: list[SaleFacts] = []
    sold = 0
    for count, on in parts:
        untaught = charging.still_untaught(_before(facts, charges), facts.charged_on or on, on)
        charges.append(_part(facts, facts.schedule[sold : sold + count], on, untaught, 0 if charges else facts.gift_lessons))
        sold += count
    return charges


def _sale(pack: Pack, facts: SaleFacts) -> Iterator[Finding]:
    """Everything but how the class is taught: that is the same in every plan."""
    yield from charging.judge_charge(pack, facts)
    yield from _price(pack, facts)
    yield from _standing(pack, facts)


def _beyond_help(pack: Pack, facts: SaleFacts) -> bool:
    """Whether something forbids every sale of this class, however it is charged."""
    course = judge_sessions(pack, facts.course) if facts.course else []
    sale = [finding for finding in _sale(pack, facts) if (finding.rule, finding.unit) in _FOR_EVERY_SALE]
    return bool(broken([*course, *sale]))


def _price(pack: Pack, facts: SaleFacts) -> Iterator[Finding]:
    if facts.course is not None:
        yield from pricing.judge_guide(pack, facts.course, facts.price_fen, facts.lesson_count)
    rule = pack.find("price.listed")
    if rule is not None and facts.listed_price_fen is not None:
        said = f"只能按公示价收费，公示价{yuan(facts.listed_price_fen)}，本次{yuan(facts.price_fen)}"
        passed = facts.price_fen <= facts.listed_price_fen
        yield found("price.listed", rule, "fen", passed, facts.price_fen, facts.listed_price_fen, said)


def _standing(pack: Pack, facts: SaleFacts) -> Iterator[Finding]:
    """Whether the institution may sell at all."""
    rule = pack.find("inst.list")
    if rule is not None and facts.listing is not None:
        said = "列入黑名单的机构不得新收费" if facts.listing == "black" else "机构不在黑名单上"
        yield found("inst.list", rule, "state", facts.listing != "black", facts.listing, "not_black", said)
    on = facts.charged_on
    if rule is not None and facts.licence_to_on is not None and on is not None:
        said = f"机构办学许可证有效期至{facts.licence_to_on}"
        yield found("inst.list", rule, "date", on <= facts.licence_to_on, str(on), str(facts.licence_to_on), said)
    if rule is not None and facts.licence_from_on is not None and on is not None:
        said = f"机构办学许可证自{facts.licence_from_on}起有效"
        yield found("inst.list", rule, "date", on >= facts.licence_from_on, str(on), str(facts.licence_from_on), said)
    pause = pack.find("inst.paused")
    if pause is not None and facts.sales_paused is not None:
        said = "机构变更事项待监管部门核实，暂停新售课" if facts.sales_paused else "机构没有被暂停新售课"
        value = "paused" if facts.sales_paused else "open"
        yield found("inst.paused", pause, "state", not facts.sales_paused, value, "open", said)


def _at_legal_prices(pack: Pack, facts: SaleFacts) -> list[PricedLesson]:
    """The lessons, each at no more than what price rules allow where the sale breaks them."""
    too_dear = {finding.rule for finding in broken(_price(pack, facts))}
    lessons = list(facts.schedule)
    if "price.listed" in too_dear:
        lessons = [replace(each, price_fen=min(each.price_fen, each.listed_fen or each.price_fen)) for each in lessons]
    course = facts.course
    if "price.guide" in too_dear and course and course.lesson_minutes and course.class_size:
        cap_fen = pricing.guide_cap_fen(pack, course.mode, course.lesson_minutes, course.class_size)
        lessons = [replace(each, price_fen=min(each.price_fen, cap_fen or each.price_fen)) for each in lessons]
    return lessons


def _within_lease(pack: Pack, facts: SaleFacts, lessons: Sequence[PricedLesson]) -> list[PricedLesson]:
    rule, ends_on = pack.find("charge.lease"), facts.lease_ends_on
    bound = rule is not None and rule.binding and rule.binds(facts.kind) and ends_on is not None
    return [each for each in lessons if not bound or ends_on is None or each.on <= ends_on]


def _before(facts: SaleFacts, charges: Sequence[SaleFacts]) -> list[PricedLesson]:
    """What was sold before the sale, and with its first charges."""
    return [*facts.untaught, *(replace(each, begun_on=charge.first_on) for charge in charges for each in charge.schedule)]


def _next_charge(
    pack: Pack, facts: SaleFacts, lessons: Sequence[PricedLesson], charges: Sequence[SaleFacts], since: date
) -> SaleFacts | None:
    """The longest run of the lessons not charged yet that may be charged before they begin, on the earliest day from `since` on."""
    before = _before(facts, charges)

    def part(count: int, on: date) -> SaleFacts:
        untaught = charging.still_untaught(before, facts.charged_on or since, on)
        return _part(facts, lessons[:count], on, untaught, 0 if charges else facts.gift_lessons)

    def short_enough(count: int) -> bool:
        return not _LENGTH & {finding.rule for finding in broken(_sale(pack, part(count, since)))}

    days = _days_to_charge(pack, facts, lessons[0].on, before, since)
    for count in range(bisect_left(range(1, len(lessons) + 1), True, key=lambda count: not short_enough(count)), 0, -1):
        for on in days:
            if not broken(_sale(pack, wanted := part(count, on))):
                return wanted
    return None


def _part(facts: SaleFacts, lessons: Sequence[PricedLesson], on: date, untaught: Sequence[PricedLesson], gift_lessons: int) -> SaleFacts:
    return replace(
        facts,
        price_fen=sum(each.price_fen for each in lessons),
        lesson_count=len(lessons),
        first_on=lessons[0].on,
        last_on=lessons[-1].on,
        gift_lessons=gift_lessons,
        charged_on=on,
        schedule=tuple(lessons),
        untaught=tuple(untaught),
        listed_price_fen=None if facts.listed_price_fen is None else sum(each.listed_fen or 0 for each in lessons),
    )


def _days_to_charge(pack: Pack, facts: SaleFacts, first_on: date, before: Sequence[PricedLesson], since: date) -> list[date]:
    """Days in order on which something changes: charging opens, a lesson sold before has been taught, a licence begins."""
    changes = {each.on + _DAY for each in before} | {charging.opens_on(pack, first_on)}
    if facts.licence_from_on is not None:
        changes.add(facts.licence_from_on)
    rule, ends_on = pack.find("inst.list"), facts.licence_to_on
    bound = rule is not None and rule.binding and ends_on is not None
    days = [since, *sorted(on for on in changes if since < on <= first_on)]
    return [on for on in days if not bound or ends_on is None or on <= ends_on]


def _changes(facts: SaleFacts, charges: Sequence[SaleFacts]) -> tuple[str, ...]:
    lessons = [each for charge in charges for each in charge.schedule]
    changed = {
        "fewer": len(lessons) < facts.lesson_count,
        "later": charges[:1] and charges[0].charged_on != facts.charged_on,
        "cheaper": any(each.price_fen < wanted.price_fen for each, wanted in zip(lessons, facts.schedule, strict=False)),
        "split": len(charges) > 1,
    }
    return tuple(change for change, so in changed.items() if so)


def _told(facts: SaleFacts, charges: Sequence[SaleFacts]) -> str:
    parts, sold = [], 0
    for charge in charges:
        numbers = f"第{sold + 1}至{sold + charge.lesson_count}课时" if charge.lesson_count > 1 else f"第{sold + 1}课时"
        parts.append(f"{charge.charged_on}起缴{numbers}，共{yuan(charge.price_fen)}")
        sold += charge.lesson_count
    rest = f"；其余{facts.lesson_count - sold}课时暂不能收费" if sold < facts.lesson_count else ""
    return f"可以这样收费：{'；'.join(parts)}{rest}"
