"""Rule packs at the command line: `python -m app.cli policy --help`."""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from app import clock
from app.console import DistrictCode, console, fail, home_of, run
from app.contracts.replay import Replay
from app.contracts.replay import replay as replay_contracts
from app.errors import DomainError
from app.money import yuan
from app.policy import packs
from app.policy.catalogue import SHAPES, Unit
from app.policy.packs import Cited, Edition, Pack, Rule
from app.policy.refunding import refund_fen

commands = typer.Typer(no_args_is_help=True, help="Rule packs (规则包).")

_MOST_NAMED = 20
_UNITS_ZH: dict[Unit, str] = {
    "year": "年",
    "month": "个月",
    "day": "日",
    "workday": "个工作日",
    "hour": "小时",
    "minute": "分钟",
    "lesson": "课时",
    "student": "人",
}

_CHOICES_ZH = {
    "half_up": "四舍五入",
    "down": "舍去",
    "up": "进一",
    "before_rounding": "先浮动后取整",
    "after_rounding": "先取整后浮动",
    "pro_rata": "按已完成课时的比例",
    "list_price": "按公示价",
}

Place = Annotated[str, typer.Option("--district", help="GB/T 2260 code of a district.")]
Day = Annotated[datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="A day; by default today.")]


class Cause(StrEnum):
    """Whose doing the end of a contract is."""

    provider = "provider"
    neither = "neither"
    own_reason = "own_reason"


@commands.command()
def check(file: Annotated[Path | None, typer.Argument(help="A pack to be tried; by default all that are shipped.")] = None) -> None:
    """Check a pack, also beside those that are shipped: unknown rules, missing values and sources, overlaps."""
    try:
        shipped = packs.shipped()
        tried = [_read(file)] if file else shipped
        packs.check_apart([*(each for each in shipped if each.name not in {new.name for new in tried}), *tried])
    except ValueError as unsound:
        fail(_told(unsound))
    for edition in tried:
        place = edition.locality or "全国"
        console.print(f"{edition.name} {edition.name_zh}（{place}，{_period(edition)}）{len(edition.rules)} 条规则", markup=False)


@commands.command()
def show(
    district: Annotated[str, typer.Option("--district", help="GB/T 2260 code of a district.")] = "",
    on: Day = None,
    edition: Annotated[str, typer.Option(help="Instead: what a stored judgement names, as it stood then.")] = "",
) -> None:
    """Print what is in force in a district on a day, each value with the pack, the grade and the source that it comes from."""
    if bool(district) == bool(edition):
        fail("请用 --district 指明区县，或用 --edition 指明规则包版本")
    if edition:
        pack = _found(lambda: packs.of_edition(edition))
        console.print(pack.edition, markup=False)
    else:
        pack, day = _pack(district, on)
        console.print(f"{district} {day} {pack.edition}", markup=False)
    for line in _lines(pack).values():
        console.print(line, markup=False)


@commands.command()
def diff(
    district: Place,
    on: Day = None,
    other_district: Annotated[str, typer.Option("--to-district", help="By default the same.")] = "",
    other_on: Annotated[datetime | None, typer.Option("--to-on", formats=["%Y-%m-%d"], help="By default the same.")] = None,
) -> None:
    """Print in which values, packs and sources two districts, or two days, differ; a later version that says the same is no difference."""
    before, day = _pack(district, on)
    after, other_day = _pack(other_district or district, other_on or on)
    console.print(f"- {district} {day} {before.edition}", markup=False)
    console.print(f"+ {other_district or district} {other_day} {after.edition}", markup=False)
    old, new = _lines(before), _lines(after)
    for name in dict.fromkeys([*old, *new]):
        if _unnumbered(old.get(name)) != _unnumbered(new.get(name)):
            for mark, line in (("-", old.get(name)), ("+", new.get(name))):
                if line is not None:
                    console.print(f"{mark} {line}", markup=False)


@commands.command()
def replay(
    from_on: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day of signing.")],
    to_on: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day of signing.")],
    pack: Annotated[Path, typer.Option("--pack", help="The pack that takes the place of its locality's, whatever its dates.")],
    district: DistrictCode = "",
) -> None:
    """Judge stored contracts anew under another pack: what would have been refused, and how many yuan that touches."""
    try:
        other = _read(pack)
    except ValueError as unsound:
        fail(_told(unsound))

    async def work() -> Replay:
        async with home_of(district) as home, home.reading() as session:
            return await replay_contracts(session, from_on.date(), to_on.date(), other)

    found = run(work())
    console.print(f"{other.name} {other.name_zh}：重判 {found.contracts} 份合同，共 {yuan(found.amount_fen)}", markup=False)
    console.print(f"会被拒绝 {len(found.refused)} 份，涉及 {yuan(found.refused_fen)}", markup=False)
    for rule, contracts, amount_fen in found.by_rule():
        console.print(f"{rule}: {contracts} 份，{yuan(amount_fen)}", markup=False)
    for each in found.refused[:_MOST_NAMED]:
        console.print(f"{each.contract_no} {yuan(each.amount_fen)} {'、'.join(each.rules)}", markup=False)
    if len(found.refused) > _MOST_NAMED:
        console.print(f"其余 {len(found.refused) - _MOST_NAMED} 份从略", markup=False)


@commands.command("quote-refund")
def quote_refund(
    district: Place,
    paid_fen: Annotated[int, typer.Option(min=1, help="What was paid.")],
    lessons: Annotated[int, typer.Option(min=1, help="Lessons that were bought, gifts included.")],
    used: Annotated[int, typer.Option(min=0, help="Lessons that were used.")],
    list_price_fen: Annotated[int, typer.Option(min=0, help="Posted price of a lesson.")],
    cause: Annotated[Cause, typer.Option(help="Whose doing the end of the contract is.")] = Cause.own_reason,
    contract_fen: Annotated[int, typer.Option(min=0, help="What the contract promises; the better of the two counts.")] = 0,
    on: Day = None,
) -> None:
    """What a consumer gets back by the rules of a district, with the rule that prices the used lessons."""
    if used > lessons:
        fail("已用课时不能多于购买的课时")
    rule = _pack(district, on)[0].find("refund.price")
    if rule is None:
        fail("当地规则包没有退费计价规则")
    amount_fen = refund_fen(
        rule,
        paid_fen=paid_fen,
        bought=lessons,
        used=used,
        list_fen=list_price_fen,
        cause=cause.value,
        contract_fen=contract_fen,
    )
    console.print(f"应退 {yuan(amount_fen)}（{rule.title_zh}；{rule.source}，{rule.grade} 级）", markup=False)


def _read(file: Path) -> Edition:
    try:
        return packs.parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"无法读取文件：{type(error).__name__}")


def _told(unsound: ValueError) -> str:
    """One sentence."""
    if isinstance(unsound, ValidationError):
        wrong = [f"{'.'.join(map(str, each['loc']))} {each['msg']}".strip() for each in unsound.errors()]
        return f"规则包不合格：{'；'.join(wrong)}"
    return f"规则包不合格：{' '.join(str(unsound).split())}"


def _pack(district: str, on: datetime | None) -> tuple[Pack, date]:
    if not re.fullmatch("[0-9]{6}", district):
        fail("区县代码须为六位数字（GB/T 2260）")
    day = on.date() if on else clock.today()
    return _found(lambda: packs.pack_for(district, day)), day


def _found(find: Callable[[], Pack]) -> Pack:
    try:
        return find()
    except DomainError as refused:
        fail(f"{refused.message_zh}（{refused.code}）")


def _period(edition: Edition) -> str:
    since = "生效日未载明" if edition.effective_from == date.min else f"{edition.effective_from} 起"
    return since if edition.effective_to == date.max else f"{since}，至 {edition.effective_to}"


def _lines(pack: Pack) -> dict[str, str]:
    """A line for each value, by its name."""
    lines = {}
    for rule_id, rule in sorted(pack.rules.items()):
        cited = _cited(pack.origins[rule_id], rule)
        for name, value in _values(rule_id, rule):
            lines[name] = f"{name} = {value}　{cited}"
    if pack.school_year is not None:
        cited = _cited(next(edition for edition in reversed(pack.editions) if edition.school_year), pack.school_year)
        for term in pack.school_year.terms:
            lines[f"school_year.{term.name_zh}"] = f"school_year.{term.name_zh} = {term.begins}　{cited}"
        for each in pack.school_year.holidays:
            lines[f"school_year.{each.name_zh}"] = f"school_year.{each.name_zh} = {each.begins} 至 {each.ends}　{cited}"
    return lines


def _unnumbered(line: str | None) -> str | None:
    """A line without the version of its pack."""
    return line and re.sub(r"　\[(\w+)/\d+\] ", r"　[\1] ", line)


def _cited(origin: Edition, stated: Cited) -> str:
    return f"[{origin.name}] {stated.grade} {stated.source}{'' if stated.binding else '（仅供参考）'}"


def _values(rule_id: str, rule: Rule) -> Iterator[tuple[str, str]]:
    """Names and values of a rule as people read them; a rule without numbers is its own sentence."""
    for name, limit in rule.limits.items():
        yield f"{rule_id}.{name}", _in_units(limit, SHAPES[rule_id].unit_of(name))
    for name, moment in rule.times.items():
        yield f"{rule_id}.{name}", f"{moment:%H:%M}"
    for name, choice in rule.choices.items():
        yield f"{rule_id}.{name}", _CHOICES_ZH[choice]
    if not (rule.limits or rule.times or rule.choices):
        yield rule_id, rule.title_zh


def _in_units(value: int, unit: Unit) -> str:
    if unit == "fen":
        return yuan(value)
    if unit == "bps":
        return f"{value // 100}.{value % 100:02d}%"
    return f"{value} {_UNITS_ZH[unit]}"
