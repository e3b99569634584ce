"""What may stand in a register, and which field a refusal names."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadInput
from app.registry import rules
from app.registry.rules import ClassDraft, InstitutionDraft

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
TODAY = date(2026, 3, 2)
HOUR = timedelta(hours=1)


def weekly(count: int, start: datetime = NOW) -> list[tuple[datetime, datetime]]:
    return [(start + timedelta(weeks=week), start + timedelta(weeks=week) + HOUR) for week in range(count)]


def institution(**changed: str) -> InstitutionDraft:
    facts = {
        "credit_code": "91110000600037341L",
        "name": "龙泉驿小画家",
        "kind": "arts",
        "address": "龙泉街道 1 号",
        "connection": "mock",
        "supervised_no": "6200 0000 0000 0001",
        "settlement_no": "6200000000000002",
    }
    return InstitutionDraft(**(facts | changed))


def drafted(**changed: object) -> ClassDraft:
    facts: dict[str, object] = {
        "teacher_id": uuid4(),
        "name": "周末素描",
        "subject": "素描",
        "price_fen": 120000,
        "lesson_count": 12,
        "seats": 10,
        "sessions": weekly(12),
    }
    return ClassDraft(**(facts | changed))  # type: ignore[arg-type]


def refused_field(check: object, *args: object) -> str:
    with pytest.raises(BadInput) as refusal:
        check(*args)  # type: ignore[operator]
    field = refusal.value.facts["field"]
    assert refusal.value.code == f"registry.{field}_invalid"
    assert any("\u4e00" <= char <= "\u9fff" for char in refusal.value.message_zh)
    return str(field)


def test_subject_training_states_the_stage_that_its_prices_go_by() -> None:
    assert refused_field(rules.check_institution, institution(kind="subject"), TODAY) == "stage"
    assert rules.check_institution(institution(kind="subject", stage="middle"), TODAY).stage == "middle"
    assert rules.check_institution(institution(kind="arts"), TODAY).stage is None


def test_a_sound_institution_is_cleaned() -> None:
    checked = rules.check_institution(institution(name=" 龙泉驿小画家 ", credit_code="91110000 600037341l"), TODAY)
    assert (checked.name, checked.credit_code, checked.supervised_no) == ("龙泉驿小画家", "91110000600037341L", "6200000000000001")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("credit_code", "91110000600037341M"),
        ("credit_code", "9111000060003734"),
        ("credit_code", "9111000060003734OI"),
        ("credit_code", ""),
        ("name", "  "),
        ("name", "画" * 81),
        ("name", "画\u200b家"),
        ("name", "画\n家"),
        ("kind", "astrology"),
        ("address", ""),
        ("supervised_no", "12345"),
        ("supervised_no", "6200-甲"),
        ("settlement_no", "6200000000000001"),
    ],
)
def test_an_unsound_institution_is_refused_by_field(field: str, value: str) -> None:
    assert refused_field(rules.check_institution, institution(**{field: value}), TODAY) == field


def test_a_schedule_is_put_in_order_of_time() -> None:
    sessions = weekly(12)
    assert rules.check_class(drafted(sessions=sessions[::-1]), NOW).sessions == sessions


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("name", {"name": ""}),
        ("subject", {"subject": "描" * 41}),
        ("price_fen", {"price_fen": 0}),
        ("price_fen", {"price_fen": -1}),
        ("price_fen", {"price_fen": 11}),
        ("price_fen", {"price_fen": 10**13 + 1}),
        ("lesson_count", {"lesson_count": 0}),
        ("lesson_count", {"lesson_count": 501, "price_fen": 501}),
        ("seats", {"seats": 0}),
        ("seats", {"seats": 501}),
        ("sessions", {"sessions": weekly(11)}),
        ("sessions", {"sessions": []}),
        ("sessions", {"sessions": [(start.replace(tzinfo=None), end) for start, end in weekly(12)]}),
        ("sessions", {"sessions": [(end, start) for start, end in weekly(12)]}),
        ("sessions", {"sessions": [(start, start) for start, _ in weekly(12)]}),
        ("sessions", {"sessions": [(start, start + 13 * HOUR) for start, _ in weekly(12)]}),
        ("sessions", {"sessions": [(NOW + n * HOUR / 2, NOW + n * HOUR / 2 + HOUR) for n in range(12)]}),
        ("sessions", {"sessions": weekly(12, NOW + timedelta(days=2000))}),
    ],
)
def test_an_unsound_class_is_refused_by_field(field: str, changed: dict[str, object]) -> None:
    assert refused_field(rules.check_class, drafted(**changed), NOW) == field


def test_one_fen_a_lesson_is_enough_and_sessions_may_touch() -> None:
    touching = [(NOW + n * HOUR, NOW + (n + 1) * HOUR) for n in range(12)]
    assert rules.check_class(drafted(price_fen=12, sessions=touching), NOW).sessions == touching


@pytest.mark.parametrize("month", ["2026-03", "2001-03", "2019-12"])
def test_months_of_birth_within_25_years(month: str) -> None:
    assert rules.birth_month(month, date(2026, 3, 2)) == month


@pytest.mark.parametrize("month", ["2026-04", "2001-02", "2019-13", "2019-00", "19-01", "2019-1", "２０１９-01", "2019-01-01", ""])
def test_other_months_of_birth_are_refused(month: str) -> None:
    assert refused_field(rules.birth_month, month, date(2026, 3, 2)) == "birth_month"


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("王小明", "王小明"),
        (" 王  小明　", "王 小明"),
        ("李〇", "李〇"),
        ("买买提·艾力", "买买提·艾力"),
        ("阿卜杜拉•卡德尔", "阿卜杜拉•卡德尔"),
        ("Seán O’Brien", "Seán O’Brien"),
        ("Anne-Marie d'Arc", "Anne-Marie d'Arc"),
        ("བཀྲ་ཤིས", "བཀྲ་ཤིས"),
        ("नेहा", "नेहा"),
    ],
)
def test_a_childs_name_is_letters_of_any_script(typed: str, name: str) -> None:
    assert rules.child_name(typed) == name
    assert rules.child_name(name) == name


@pytest.mark.parametrize(
    "typed", ["", "😀😀", "<b>小明</b>", "小明1", "小明。", "·小明", "小明-", "阿··力", "=1+1", "小\n明", "王\u200b小明", "\u0301"]
)
def test_anything_else_is_no_childs_name(typed: str) -> None:
    assert refused_field(rules.child_name, typed) == "name"


@given(st.text(max_size=60))
def test_a_clean_name_stays_clean(text: str) -> None:
    try:
        name = rules.clean_text(text, "name", "学生姓名", 40)
    except BadInput:
        return
    assert 1 <= len(name) <= 40
    assert rules.clean_text(name, "name", "学生姓名", 40) == name
