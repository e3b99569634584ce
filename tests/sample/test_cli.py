"""The operator's commands: from an empty server to a district with its people, and books that are checked."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from app import clock
from app.db import District
from app.security import sign_in_staff
from tests.conftest import Server
from tests.sample.commands import Operator, run_cli
from tests.world import World, credit_code

CODE = credit_code(7)
INSTITUTION = (
    *("institution", "create", "--credit-code", CODE, "--name", "晨光艺术培训学校", "--kind", "arts", "--address", "驿都大道 1 号"),
    *("--connection", "bank", "--supervised-no", "622800000001", "--settlement-no", "622900000001"),
)
LICENCE = (
    *("--licence-no", "教民 1 号", "--licence-issuer", "教育局", "--licence-scope", "美术", "--licence-from", "2020-01-01"),
    *("--non-profit", "--legal-representative", "赵法人", "--contact-name", "钱校长", "--contact-phone", "13900000001"),
)


PASSWORD = "correct horse battery"


def with_password(url: str) -> str:
    return make_url(url).set(password="test").render_as_string(hide_password=False)


@pytest.fixture
async def urls(server: Server, admin: AsyncEngine) -> AsyncIterator[dict[str, str]]:
    """The settings of an operator who has a server and nothing on it yet."""
    name = f"escrow_cli_{secrets.token_hex(6)}"
    yield {
        "ESCROW_ADMIN_DATABASE_URL": server.url("admin", "postgres"),
        "ESCROW_OWNER_DATABASE_URL": with_password(server.url("escrow_owner", name)),
        "DATABASE_URL": with_password(server.url("escrow_app", name)),
    }
    async with admin.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


async def test_from_an_empty_server_to_people_who_sign_in(monkeypatch: pytest.MonkeyPatch, urls: dict[str, str]) -> None:
    operator = Operator(monkeypatch, **urls)
    printed = await operator.done("bootstrap")
    assert printed.count("escrow_owner:***@") == 1 == printed.count("escrow_app:***@")
    await operator.done("district", "create", "510112", "龙泉驿区")
    assert "该区县已存在" in await operator.refused("district", "create", "510112", "龙泉驿区")
    assert "六位数字" in await operator.refused("district", "create", "成都", "龙泉驿区")
    assert await operator.done("migrate") == "510112 龙泉驿区\n"
    assert "许可证须填全" in await operator.refused(*INSTITUTION, "--licence-no", "教民 1 号")
    assert "办学许可证已过期" in await operator.refused(*INSTITUTION, *LICENCE, "--licence-to", "2021-12-31")
    await operator.done(*INSTITUTION, *LICENCE, "--licence-to", f"{clock.today().year + 3}-12-31")
    assert "已经登记" in await operator.refused(*INSTITUTION)
    assert "最低余额 ¥500.00" in await operator.done("thresholds", CODE, "--minimum-balance-fen", "50000")
    assert "单笔大额 ¥300,000.00" in await operator.done("thresholds", CODE)
    assert "没有这家机构" in await operator.refused("thresholds", credit_code(8))
    assert await operator.done("check-books") == "账簿核对无误\n"


async def test_a_password_comes_from_standard_input_and_opens_a_session(
    monkeypatch: pytest.MonkeyPatch, world: World, app_url: str
) -> None:
    operator, institution = Operator(monkeypatch, DATABASE_URL=app_url), await world.institution()
    staff = ("staff", "create", "institution", "teacher.li", "--name", "李老师", "--institution", institution.credit_code)
    assert "至少 10 个字符" in await operator.refused(*staff, typed="short\n")
    await operator.done(*staff, typed=f"{PASSWORD}\n")
    assert "该用户名已存在" in await operator.refused(*staff, typed=f"{PASSWORD}\n")
    assert "--institution" in await operator.refused("staff", "create", "institution", "teacher.wang", "--name", "王老师")
    await operator.done("staff", "create", "supervision", "officer.wang", "--name", "王科长", typed=f"{PASSWORD}\n")
    for username, role in (("teacher.li", "institution"), ("officer.wang", "supervision")):
        _, signed_in_as = await sign_in_staff(world.district, username, PASSWORD) or ("", "")
        assert signed_in_as == role


@pytest.mark.broken_books
async def test_check_books_names_each_broken_row_and_fails(
    monkeypatch: pytest.MonkeyPatch, world: World, app_url: str, owner: District
) -> None:
    operator, institution = Operator(monkeypatch, DATABASE_URL=app_url), await world.institution()
    await world.paid_contract(institution)
    async with owner.transaction() as session:
        await session.execute(text("UPDATE ledger_account SET balance_fen = balance_fen + 1 WHERE type = 'cash'"))
    status, printed, _ = await operator.run("check-books")
    assert status == 1
    assert f"{institution.id} cash:" in printed
    assert "ledger.book_balances" in printed
    assert await operator.done("check-books", "--book", "00000000-0000-0000-0000-000000000001") == "账簿核对无误\n"


def test_no_database_and_an_absent_server_are_one_sentence_without_a_trace(tmp_path: Path) -> None:
    for url, sentence in (("", "请先设置 DATABASE_URL"), ("postgresql+asyncpg://escrow_app@127.0.0.1:1/escrow", "无法连接数据库")):
        command = run_cli("check-books", DATABASE_URL=url, ESCROW_DATA_DIR=str(tmp_path))
        assert (command.returncode, command.stderr.count("\n")) == (1, 1)
        assert sentence in command.stderr
