"""Rule packs at the command line."""

from pathlib import Path

import pytest

from app import clock
from app.policy.catalogue import SHAPES
from app.policy_commands import _CHOICES_ZH
from tests.sample.commands import Operator
from tests.world import World

DRAFT = """
id = "draft"
version = 1
name_zh = "征求意见"
locality = "5101"
effective_from = 2099-01-01

[rules."charge.cap"]
title_zh = "金额上限"
limits = { fen = 300_000 }
source = "征求意见稿"
grade = "A"
"""


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch) -> Operator:
    return Operator(monkeypatch)


def written(folder: Path, text: str) -> str:
    """A file with a pack, by its path."""
    file = folder / "pack.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


async def test_all_shipped_packs_are_sound(operator: Operator) -> None:
    printed = await operator.done("policy", "check")
    assert "nation/1 全国通用规则（全国，2022-12-29 起）4 条规则" in printed
    assert "chengdu/1 成都市（5101，生效日未载明）" in printed


async def test_a_pack_is_tried_beside_the_shipped_ones(operator: Operator, tmp_path: Path) -> None:
    overlapping = DRAFT.replace("effective_from = 2099-01-01\n", "")
    unsound = {
        DRAFT.replace("charge.cap", "charge.cup"): "charge.cup is unknown",
        DRAFT.replace('source = "征求意见稿"\n', ""): "rules.charge.cap.source Field required",
        DRAFT.replace("300_000", '"300000"'): "rules.charge.cap.limits.fen",
        overlapping: "are in force at the same time",
        "id =": "规则包不合格",
    }
    for text, said in unsound.items():
        assert said in await operator.refused("policy", "check", written(tmp_path, text))
    successor = overlapping.replace('id = "draft"', 'id = "chengdu"').replace("version = 1", "version = 2")
    assert await operator.done("policy", "check", written(tmp_path, successor)) == "chengdu/2 征求意见（5101，生效日未载明）1 条规则\n"
    assert "无法读取文件" in await operator.refused("policy", "check", str(tmp_path / "absent.toml"))


async def test_every_value_is_shown_with_where_it_comes_from(operator: Operator) -> None:
    printed = await operator.done("policy", "show", "--district", "510112", "--on", "2026-03-02")
    assert printed.startswith("510112 2026-03-02 nation/4+sichuan/1+chengdu/1+longquanyi/1\n")
    for line in (
        "charge.span.lesson = 60 课时　[nation/4] B 教监管函〔2021〕2号",
        "charge.advance.lesson = 20 课时　[chengdu/1] C 成都市有关规定（转载）",
        "charge.loan = 不得使用培训贷为未成年人缴费　[nation/4] B 教监管函〔2021〕2号",
        "time.end.onsite = 20:30　[nation/4] S 龙泉驿区“1+2+1”监管的依据文件",
        "custody.coverage.bps = 100.00%　[nation/4] S",
        "school_year.秋季学期 = 09-01　[nation/4] U",
    ):
        assert f"\n{line}" in printed
    assert "release.silence.workday = 7 个工作日　[zhejiang/1] D 浙江省有关规定的征求意见稿（仅供参考）" in (
        await operator.done("policy", "show", "--district", "330106", "--on", "2026-03-02")
    )
    assert "policy.no_pack" in await operator.refused("policy", "show", "--district", "510112", "--on", "2019-01-01")


async def test_an_edition_that_judged_is_shown_as_it_stood(operator: Operator) -> None:
    printed = await operator.done("policy", "show", "--edition", "nation/1")
    assert printed.startswith("nation/1\ncharge.cap.fen = ¥5,000.00　[nation/1] B")
    assert "charge.split" not in printed
    assert "policy.edition_unknown" in await operator.refused("policy", "show", "--edition", "nation/77")
    assert "--district" in await operator.refused("policy", "show")


async def test_two_places_and_two_days_are_held_against_each_other(operator: Operator) -> None:
    printed = await operator.done("policy", "diff", "--district", "510112", "--on", "2026-03-02", "--to-district", "320211")
    assert "+ price.guide.small_fen = ¥60.00　[wuxi/1]" in printed
    assert "- charge.term = 不得跨学期收费　[chengdu/1]" in printed
    assert "charge.cap" not in printed
    same = ("policy", "diff", "--district", "510112", "--on", "2026-03-02", "--to-on", "2026-04-02")
    assert (await operator.done(*same)).count("\n") == 2
    of_later = ("policy", "diff", "--district", "510112", "--on", "2025-04-01", "--to-on", "2025-06-01")
    changed = (await operator.done(*of_later)).splitlines()
    assert changed[:2] == [
        "- 510112 2025-04-01 nation/3+sichuan/1+chengdu/1+longquanyi/1",
        "+ 510112 2025-06-01 nation/4+sichuan/1+chengdu/1+longquanyi/1",
    ]
    assert [line.split(" = ")[0] for line in changed[2:]] == [
        "- refund.price.own_reason",
        "+ refund.price.own_reason",
        "+ refund.cooling.day",
        "+ refund.transfer",
    ]


async def test_choices_are_words_and_a_code_is_a_districts(operator: Operator) -> None:
    printed = await operator.done("policy", "show", "--district", "510112", "--on", "2026-03-02")
    assert "price.guide.rounding = 四舍五入　" in printed
    assert "refund.price.own_reason = 按已完成课时的比例　" in printed
    assert "六位数字" in await operator.refused("policy", "show", "--district", "999")


def test_every_choice_of_a_rule_has_a_word() -> None:
    assert set(_CHOICES_ZH) == {choice for shape in SHAPES.values() for choices in shape.choices.values() for choice in choices}


async def test_stored_contracts_are_replayed_under_a_draft(
    monkeypatch: pytest.MonkeyPatch, world: World, app_url: str, tmp_path: Path
) -> None:
    operator, institution = Operator(monkeypatch, DATABASE_URL=app_url), await world.institution()
    await world.paid_contract(institution, lessons=2, price_fen=200_000)
    _, dear = await world.paid_contract(institution, lessons=2, price_fen=400_000)
    today = str(clock.today())
    printed = await operator.done("policy", "replay", "--from", today, "--to", today, "--pack", written(tmp_path, DRAFT))
    assert printed.splitlines() == [
        "draft/1 征求意见：重判 2 份合同，共 ¥6,000.00",
        "会被拒绝 1 份，涉及 ¥4,000.00",
        "charge.cap: 1 份，¥4,000.00",
        f"{dear.contract_no} ¥4,000.00 charge.cap",
    ]


async def test_a_refund_is_quoted_with_its_rule(operator: Operator) -> None:
    used = ("--paid-fen", "400000", "--lessons", "40", "--list-price-fen", "15000", "--used")
    printed = await operator.done("policy", "quote-refund", "--district", "510112", "--on", "2026-03-02", *used, "10")
    assert printed.startswith("应退 ¥3,000.00（退费时已用课时的计价；各地教育部门退费规定")
    assert "应退 ¥3,500.00" in await operator.done(
        "policy", "quote-refund", "--district", "510112", *used, "10", "--contract-fen", "350000"
    )
    assert "不能多于" in await operator.refused("policy", "quote-refund", "--district", "510112", *used, "41")
