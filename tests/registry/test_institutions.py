"""The register of institutions: applications, changes that pause sales, lists, yearly checks, campuses, closing."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import delete, func, select

from app import clock, security
from app.audit import AuditEntry
from app.banking import holders
from app.banking import service as banking
from app.banking.models import BalanceReport, BankAccount, Instruction
from app.contracts import queries as contracts
from app.contracts.notices import notices_of
from app.db import District
from app.errors import BadInput, Conflict, NotFound, Refused, TooManyAttempts, Unavailable
from app.ledger.models import Book
from app.registry import applications, changes, classes, institutions, teachers
from app.registry import institution_queries as registry
from app.registry.applications import ApplicationDraft
from app.registry.changes import ChangeDraft
from app.registry.institutions import CheckDraft
from app.registry.models import Campus, Institution, InstitutionApplication
from app.registry.rules import CampusDraft, ClassDraft, Contact, InstitutionDraft, Licence
from app.security import Staff
from app.settlement import jobs as settlement_jobs
from app.supervision.coverage import confirm_coverage
from tests.world import CONNECTION, World

PASSWORD = "correct horse battery"


async def applied(world: World, draft: InstitutionDraft | None = None, username: str = "chenguang") -> InstitutionApplication:
    draft = draft or await world.institution_draft()
    password_hash = await security.hash_password(PASSWORD)
    async with world.district.transaction() as session:
        return await applications.apply(session, ApplicationDraft(draft, username, "孙管理", password_hash))


async def propose(world: World, institution: Institution, draft: ChangeDraft) -> None:
    async with world.district.transaction() as session:
        await changes.propose(session, world.staff(institution), institution.id, draft)


async def waiting_change(world: World, institution: Institution) -> registry.ChangeView:
    async with world.district.reading() as session:
        [found] = await registry.changes(session, institution_id=institution.id, status="proposed")
    return found


async def add_campus(world: World, institution: Institution, name: str) -> Campus:
    async with world.district.transaction() as session:
        return await changes.add_campus(session, world.staff(institution), CampusDraft(name, "东路 1 号"))


async def now(world: World, institution: Institution) -> Institution:
    async with world.district.reading() as session:
        return await session.get_one(Institution, institution.id)


async def test_an_approved_application_becomes_an_institution_that_can_sign_in(world: World, district: District) -> None:
    draft = await world.institution_draft("向日葵书画院")
    application = await applied(world, draft)
    async with district.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Institution)) == 0
    async with district.transaction() as session:
        entered = await applications.approve(session, world.officer(), application.id, "材料齐全")
    async with district.reading() as session:
        entry = await registry.entry(session, entered.id)
        assert await session.get(Book, entered.id) is not None
        decided = await registry.application_by_no(session, application.application_no)
    assert (entry.institution.status, entry.licence, entry.institution.legal_representative) == ("approved", draft.licence, "赵法人")
    assert [account.role for account in entry.accounts] == ["supervised", "settlement"]
    assert [(campus.name, campus.address) for campus in entry.campuses] == [("主校区", draft.address)]
    assert entry.contact_masked is not None
    assert entry.contact_masked.name == "钱*长"
    assert (decided.status, decided.decision_reason, decided.password_hash, decided.contact_phone_enc) == (
        "approved",
        "材料齐全",
        None,
        None,
    )
    assert (await security.sign_in_staff(district, "chenguang", PASSWORD, "institution")) is not None
    with pytest.raises(Conflict) as again:
        async with district.transaction() as session:
            await applications.approve(session, world.officer(), application.id, "再批一次")
    assert again.value.code == "registry.application_decided"


async def test_a_refused_application_leaves_nothing_but_its_reason(world: World, district: District) -> None:
    application = await applied(world)
    async with district.transaction() as session:
        await applications.refuse(session, world.officer(), application.id, "许可证照片不清晰")
    async with district.reading() as session:
        decided = await registry.application(session, application.id)
        assert [await session.scalar(select(func.count()).select_from(table)) for table in (Institution, Staff, Book)] == [0, 0, 0]
    assert (decided.status, decided.decision_reason, decided.password_hash) == ("refused", "许可证照片不清晰", None)
    assert await security.sign_in_staff(district, "chenguang", PASSWORD) is None


async def test_of_two_applications_for_one_institution_one_is_approved(world: World, district: District) -> None:
    draft = await world.institution_draft()
    first, second = await applied(world, draft), await applied(world, draft)
    async with district.transaction() as session:
        await applications.approve(session, world.officer(), first.id, "材料齐全")
    with pytest.raises(Conflict) as refusal:
        async with district.transaction() as session:
            await applications.approve(session, world.officer(), second.id, "材料齐全")
    assert refusal.value.code == "registry.institution_known"
    with pytest.raises(Conflict):
        await applied(world, draft)


async def test_a_user_name_that_is_taken_gets_a_number(world: World, district: District) -> None:
    names = []
    for _ in range(3):
        application = await applied(world)
        async with district.transaction() as session:
            await applications.approve(session, world.officer(), application.id, "材料齐全")
        async with district.reading() as session:
            names.append((await registry.application(session, application.id)).username)
    assert names == ["chenguang", "chenguang-2", "chenguang-3"]


async def test_a_licence_that_runs_out_before_the_decision_is_not_approved(world: World, district: District) -> None:
    tomorrow = clock.today() + timedelta(days=1)
    draft = await world.institution_draft()
    assert draft.licence is not None
    application = await applied(world, replace(draft, licence=replace(draft.licence, to_on=tomorrow)))
    with clock.at(clock.now() + timedelta(days=3)), pytest.raises(BadInput) as refusal:
        async with district.transaction() as session:
            await applications.approve(session, world.officer(), application.id, "材料齐全")
    assert refusal.value.facts["field"] == "licence_to_on"
    async with district.reading() as session:
        assert (await registry.application(session, application.id)).status == "applied"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("credit_code", {"credit_code": "91110000600037341M"}),
        ("licence", {"licence": None}),
        ("contact", {"contact": None}),
        ("legal_representative", {"legal_representative": None}),
        ("for_profit", {"for_profit": None}),
        ("stage", {"kind": "subject"}),
        ("stage", {"stage": "primary"}),
        ("contact_phone", {"contact": Contact("钱校长", "12345")}),
        ("lease_ends_on", {"campuses": [CampusDraft("主校区", "某路 1 号", date(2020, 1, 1))]}),
        ("area_m2", {"campuses": [CampusDraft("主校区", "某路 1 号", None, 0)]}),
        ("licence_to_on", {"licence": Licence("1", "教育局", "艺术", date(2019, 1, 1), date(2019, 12, 31))}),
        ("licence_to_on", {"licence": Licence("1", "教育局", "艺术", date(2019, 1, 1), date(2999, 12, 31))}),
        ("licence_from_on", {"licence": Licence("1", "教育局", "艺术", date(2998, 1, 1), date(2999, 12, 31))}),
        ("licence_from_on", {"licence": Licence("1", "教育局", "艺术", date(1879, 1, 1), date(2999, 12, 31))}),
    ],
)
async def test_an_unsound_application_names_its_field_and_changes_nothing(
    world: World, district: District, field: str, wrong: dict[str, object]
) -> None:
    draft = replace(await world.institution_draft(), **wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInput) as refusal:
        await applied(world, draft)
    assert refusal.value.facts["field"] == field
    async with district.reading() as session:
        assert await session.scalar(select(func.count()).select_from(InstitutionApplication)) == 0


async def test_a_sample_user_name_is_not_given_and_applications_have_a_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput) as refusal:
        await applied(world, username="sample-institution")
    assert refusal.value.facts["field"] == "username"
    monkeypatch.setattr(applications, "MOST_AN_HOUR", 1)
    await applied(world)
    with pytest.raises(TooManyAttempts):
        await applied(world)
    with clock.at(clock.now() + timedelta(hours=2)):
        await applied(world)


async def test_the_bank_says_whose_an_account_is(world: World) -> None:
    draft = await world.institution_draft()
    await world.bank.open_account("6228999900000001", draft.name)

    async def checked(account_no: str, name: str = draft.name, supervised: bool = True) -> str:
        try:
            await holders.check_holder(world.banks, CONNECTION, account_no, name, "supervised_no", supervised=supervised)
        except (Refused, Unavailable) as refusal:
            return refusal.code
        return ""

    assert await checked(draft.supervised_no) == ""
    assert await checked(draft.supervised_no, "别家学校") == "banking.holder_differs"
    assert await checked("6228000000009999") == "banking.account_unknown"
    assert await checked("6228999900000001") == "banking.not_supervised"
    assert await checked("6228999900000001", supervised=False) == ""
    await world.bank.knob("down", operation="check_holder")
    assert await checked(draft.supervised_no) == "banking.silent"


async def test_a_proposed_change_pauses_sales_until_an_officer_confirms_coverage(world: World, district: District) -> None:
    institution = await world.institution()
    parent, _ = await world.paid_contract(institution)
    training_class = await world.training_class(institution)
    await propose(world, institution, ChangeDraft("legal_representative", "李法人", "股权转让"))

    with pytest.raises(Refused) as refusal:
        await world.sign(parent, training_class)
    assert [finding["rule"] for finding in refusal.value.facts["findings"]] == ["inst.paused"]
    async with district.reading() as session:
        assert await contracts.open_classes(session, institution.id) == []
        [notice] = await notices_of(session, parent.guardian_id)
        assert await notices_of(session, (await world.parent()).guardian_id) == []
    assert (notice.institution_name, notice.reason) == (institution.name, "变更法定代表人，待监管部门核实")
    assert (await now(world, institution)).legal_representative == "赵法人"

    change, officer = await waiting_change(world, institution), world.officer()
    with pytest.raises(Refused) as refusal:
        async with district.transaction() as session:
            await confirm_coverage(session, officer, institution.id, "已核实")
    assert refusal.value.code == "registry.change_undecided"
    async with district.transaction() as session:
        await changes.confirm(session, officer, change.id, "工商登记已变更")
    assert (await now(world, institution)).legal_representative == "李法人"
    assert (await now(world, institution)).sales_paused_at is not None

    async with district.transaction() as session:
        confirmed = await confirm_coverage(session, officer, institution.id, "监管账户余额足额")
    assert (confirmed.money.coverage_bps, confirmed.due_bps, confirmed.old_stock_fen) == (10_000, 10_000, 0)
    await world.sign(parent, training_class)
    async with district.reading() as session:
        assert await notices_of(session, parent.guardian_id) == []
        resumed = await session.scalar(select(AuditEntry).where(AuditEntry.action == "registry.sales_resumed"))
    assert resumed is not None
    assert (resumed.actor, resumed.reason, resumed.facts["coverage_bps"]) == (officer.actor, "监管账户余额足额", 10_000)


async def test_an_institution_whose_parents_money_is_missing_does_not_sell_again(world: World, district: District) -> None:
    institution = await world.institution()
    await world.paid_contract(institution, price_fen=40_000)
    async with district.transaction() as session:
        await institutions.pause_sales(session, world.officer(), institution.id, "群众举报")
    await world.bank.debit_uninstructed((await world.account(institution)).account_no, 10_000)
    async with district.transaction() as session:
        await banking.ask_balance(session, institution.id)
    await world.work()
    with pytest.raises(Refused) as refusal:
        async with district.transaction() as session:
            await confirm_coverage(session, world.officer(), institution.id, "看过了")
    assert (refusal.value.code, refusal.value.facts["coverage_bps"]) == ("supervision.uncovered", 7_500)
    assert (await now(world, institution)).sales_pause_reason == "群众举报"


async def test_without_the_banks_word_nothing_is_confirmed(world: World, district: District, owner: District) -> None:
    institution = await world.institution()
    await world.paid_contract(institution)
    async with district.transaction() as session:
        await institutions.pause_sales(session, world.officer(), institution.id, "群众举报")
    async with owner.transaction() as session:
        await session.execute(delete(BalanceReport))
    with pytest.raises(Refused) as refusal:
        async with district.transaction() as session:
            await confirm_coverage(session, world.officer(), institution.id, "看过了")
    assert refusal.value.code == "supervision.coverage_unknown"


async def test_a_new_settlement_account_gets_what_is_instructed_after_its_confirmation(world: World, district: District) -> None:
    institution = await world.institution()
    parent, contract = await world.paid_contract(institution, lessons=2, price_fen=20_000)
    first, second = await world.lessons_of(contract)
    await world.deliver(institution, first)
    await world.confirm(parent, first)
    old = await world.account(institution, "settlement")
    await world.bank.open_account("6229777700000001", institution.name, client=CONNECTION)
    await propose(world, institution, ChangeDraft("settlement_account", "6229 7777 0000 0001", "换开户行网点"))
    [before] = await settlement_jobs.run_district(district, clock.today(), 1, "test")
    change = await waiting_change(world, institution)
    assert change.new_value == "6229****0001"
    async with district.transaction() as session:
        await changes.confirm(session, world.officer(), change.id, "银行户名一致")
    await world.deliver(institution, second)
    await world.confirm(parent, second)
    [after] = await settlement_jobs.run_district(district, clock.today(), 2, "test")
    await world.wait(timedelta(minutes=1))
    await world.work()
    await world.wait(timedelta(minutes=1))
    await world.work()
    async with district.reading() as session:
        rows = await session.scalars(select(Instruction).where(Instruction.purpose == "payout"))
        meant = {row.reference: row.payee_account_id for row in rows}
        current = await banking.account_of(session, institution.id, "settlement")
        assert await session.scalar(select(func.count()).select_from(BankAccount).where(BankAccount.book_id == institution.id)) == 3
    assert meant == {before.payout_no: old.id, after.payout_no: current.id}
    assert await world.bank.balance_of(old.account_no) == 10_000
    assert await world.bank.balance_of("6229777700000001") == 10_000
    with pytest.raises(Conflict) as refusal:
        await propose(world, institution, ChangeDraft("settlement_account", "6229777700000001", "同一个账户"))
    assert refusal.value.code == "registry.change_unchanged"


async def test_a_refused_change_leaves_the_entry_and_one_of_a_kind_waits_at_a_time(world: World, district: District) -> None:
    institution, other = await world.institution(), await world.institution()
    async with district.reading() as session:
        [campus] = await institutions.campuses(session, institution.id)
        [others] = await institutions.campuses(session, other.id)
    move = ChangeDraft("campus_address", "龙泉驿区新址 9 号", "搬迁", campus.id)
    await propose(world, institution, move)
    with pytest.raises(Conflict) as refusal:
        await propose(world, institution, move)
    assert refusal.value.code == "registry.change_waiting"
    for wrong in (replace(move, campus_id=others.id), replace(move, campus_id=None), ChangeDraft("address", "新址", "搬迁", campus.id)):
        with pytest.raises((BadInput, NotFound)) as named:
            await propose(world, institution, wrong)
        assert named.value.facts["field"] == "campus_id"
    change = await waiting_change(world, institution)
    async with district.transaction() as session:
        await changes.refuse(session, world.officer(), change.id, "没有新的租赁合同")
    async with district.reading() as session:
        assert [each.address for each in await institutions.campuses(session, institution.id)] == [campus.address]
    with pytest.raises(Conflict):
        async with district.transaction() as session:
            await changes.confirm(session, world.officer(), change.id, "改主意")
    async with district.transaction() as session:
        await confirm_coverage(session, world.officer(), institution.id, "没有预收费")
    assert (await now(world, institution)).sales_paused_at is None


async def test_lists_have_a_history_and_the_black_list_sells_nothing(world: World, district: District) -> None:
    institution, officer = await world.institution(), world.officer()
    training_class, parent = await world.training_class(institution), await world.parent()
    steps = (("white", "连续三年合格"), ("black", "卷款跑路嫌疑"))
    for listing, reason in steps:
        async with district.transaction() as session:
            await institutions.set_listing(session, officer, institution.id, listing, reason)  # type: ignore[arg-type]
    with pytest.raises(Conflict):
        async with district.transaction() as session:
            await institutions.set_listing(session, officer, institution.id, "black", "再列一次")
    with pytest.raises(Refused) as refusal:
        await world.sign(parent, training_class)
    assert [finding["rule"] for finding in refusal.value.facts["findings"]] == ["inst.list"]
    async with district.transaction() as session:
        await institutions.set_listing(session, officer, institution.id, None, "查无实据")
    await world.sign(parent, training_class)
    async with district.reading() as session:
        told = [(each.listing, each.reason, each.decided_by) for each in await registry.listings(session, institution.id)]
    assert told == [(None, "查无实据", officer.staff_id), *[(*step, officer.staff_id) for step in reversed(steps)]]


async def test_the_latest_check_of_a_year_counts(world: World, district: District) -> None:
    institution, year = await world.institution(), clock.today().year
    drafts = (CheckDraft(year - 1, "passed", "合格"), CheckDraft(year, "failed", "消防不合格"), CheckDraft(year, "passed", "复查合格"))
    for draft in drafts:
        async with district.transaction() as session:
            await institutions.record_yearly_check(session, world.officer(), institution.id, draft)
    for wrong, field in ((CheckDraft(year + 1, "passed", "明年"), "year"), (CheckDraft(1999, "passed", "太早"), "year")):
        with pytest.raises(BadInput) as refusal:
            async with district.transaction() as session:
                await institutions.record_yearly_check(session, world.officer(), institution.id, wrong)
        assert refusal.value.facts["field"] == field
    async with district.reading() as session:
        counted = [(each.year, each.result) for each in await registry.yearly_checks(session, institution.id)]
    assert counted == [(year, "passed"), (year - 1, "passed")]


async def test_an_institution_is_suspended_reopened_and_closed_for_good(world: World, district: District) -> None:
    institution, officer = await world.institution(), world.officer()

    async def become(status: institutions.Status) -> None:
        async with district.transaction() as session:
            await institutions.set_status(session, officer, institution.id, status, "核查")

    await become("suspended")
    await become("approved")
    with pytest.raises(Conflict):
        await become("approved")
    await become("closed")
    for status in ("approved", "suspended"):
        with pytest.raises(Conflict) as refusal:
            await become(status)  # type: ignore[arg-type]
        assert refusal.value.facts["status"] == "closed"
    with pytest.raises(Refused):
        await propose(world, institution, ChangeDraft("address", "新址", "搬迁"))


async def test_a_renewed_licence_replaces_the_old_one(world: World, district: District) -> None:
    institution = await world.institution()
    renewed = Licence("教民新号", "龙泉驿区教育局", "美术", clock.today(), clock.today() + timedelta(days=365))
    async with district.transaction() as session:
        await institutions.renew_licence(session, world.officer(), institution.id, renewed, "换证")
    assert institutions.licence_of(await now(world, institution)) == renewed


async def test_a_contact_is_sealed_and_seen_only_with_a_reason_that_is_kept(world: World, district: District) -> None:
    institution, officer = await world.institution(), world.officer()
    async with district.transaction() as session:
        await institutions.set_contact(session, world.staff(institution), Contact("孙主任", "13800138000"))
    sealed = await now(world, institution)
    assert "孙主任".encode() not in (sealed.contact_name_enc or b"")
    with pytest.raises(BadInput):
        async with district.transaction() as session:
            await institutions.reveal_contact(session, officer, institution.id, "  ")
    async with district.transaction() as session:
        assert await institutions.reveal_contact(session, officer, institution.id, "核实举报") == Contact("孙主任", "+8613800138000")
    async with district.reading() as session:
        [seen] = await session.scalars(select(AuditEntry).where(AuditEntry.action == "registry.contact_seen"))
    assert (seen.actor, seen.reason, seen.facts) == (officer.actor, "核实举报", {})


async def test_a_campus_stays_open_for_the_classes_that_are_taught_there(world: World, district: District) -> None:
    institution = await world.institution()
    async with district.transaction() as session:
        [campus] = await institutions.campuses(session, institution.id)
        teacher = await teachers.create_teacher(session, institution.id, "李老师", "CERT-1", "美术")
        first = clock.day_bounds(clock.today() + timedelta(days=7))[0] + timedelta(hours=10)
        meetings = [(first + timedelta(days=day), first + timedelta(days=day, hours=1)) for day in range(2)]
        draft = ClassDraft(teacher.id, "创意美术", "美术", 20_000, 2, 5, meetings, campus_id=campus.id)
        await classes.open_class(session, institution.id, draft)
    with pytest.raises(Refused) as refusal:
        async with district.transaction() as session:
            await institutions.close_campus(session, world.staff(institution), campus.id)
    assert refusal.value.code == "registry.campus_in_use"
    with clock.at(meetings[-1][1]):
        async with district.transaction() as session:
            await institutions.close_campus(session, world.staff(institution), campus.id)


async def test_campuses_open_lease_and_close(world: World, district: District) -> None:
    institution, other = await world.institution(), await world.institution()
    staff, lease = world.staff(institution), clock.today() + timedelta(days=400)
    async with district.transaction() as session:
        campus = await changes.add_campus(session, staff, CampusDraft(" 东校区 ", "东路 1 号", None, 200))
        await changes.change_lease(session, staff, campus.id, lease, "")
    async with district.reading() as session:
        assert [(each.name, each.lease_ends_on) for each in await institutions.campuses(session, institution.id)][1:] == [("东校区", lease)]
    with pytest.raises(BadInput):
        async with district.transaction() as session:
            await changes.change_lease(session, staff, campus.id, clock.today() - timedelta(days=1), "")
    with pytest.raises(NotFound):
        async with district.transaction() as session:
            await institutions.close_campus(session, world.staff(other), campus.id)
    async with district.transaction() as session:
        await institutions.close_campus(session, staff, campus.id)
    with pytest.raises(NotFound):
        async with district.transaction() as session:
            await changes.change_lease(session, staff, campus.id, lease, "")


async def test_an_added_campus_pauses_sales_until_an_officer_has_confirmed_address_and_coverage(world: World, district: District) -> None:
    institution, officer = await world.institution(), world.officer()
    training_class, parent = await world.training_class(institution), await world.parent()
    campus = await add_campus(world, institution, "东校区")
    with pytest.raises(Refused) as refusal:
        await world.sign(parent, training_class)
    assert [finding["rule"] for finding in refusal.value.facts["findings"]] == ["inst.paused"]
    assert (await now(world, institution)).sales_pause_reason == "新增校区，待监管部门核实"
    async with district.reading() as session:
        [told] = await registry.changes(session, status="proposed")
    assert (told.institution_id, told.kind, told.campus_name, told.old_value) == (institution.id, "campus_address", "东校区", None)
    assert (told.new_value, told.reason) == (campus.address, "新增校区")
    with pytest.raises(Conflict) as waiting:
        await add_campus(world, institution, "西校区")
    assert waiting.value.code == "registry.change_waiting"
    with pytest.raises(Refused) as undecided:
        async with district.transaction() as session:
            await confirm_coverage(session, officer, institution.id, "没有预收费")
    assert undecided.value.code == "registry.change_undecided"

    async with district.transaction() as session:
        await changes.confirm(session, officer, told.id, "租赁合同属实")
        await confirm_coverage(session, officer, institution.id, "没有预收费")
    await world.sign(parent, training_class)
    async with district.transaction() as session:
        await institutions.close_campus(session, world.staff(institution), campus.id)
    assert (await now(world, institution)).sales_paused_at is None


async def test_an_added_campus_that_an_officer_does_not_confirm_is_closed(world: World, district: District) -> None:
    institution, officer = await world.institution(), world.officer()
    campus = await add_campus(world, institution, "东校区")
    async with district.transaction() as session:
        teacher = await teachers.create_teacher(session, institution.id, "李老师", "CERT-1", "美术")
        first = clock.day_bounds(clock.today() + timedelta(days=7))[0] + timedelta(hours=10)
        draft = ClassDraft(teacher.id, "创意美术", "美术", 10_000, 1, 5, [(first, first + timedelta(hours=1))], campus_id=campus.id)
        filed = (await classes.file_class(session, world.staff(institution), draft)).training_class
    change = await waiting_change(world, institution)
    with pytest.raises(Refused) as refusal:
        async with district.transaction() as session:
            await changes.refuse(session, officer, change.id, "没有租赁合同")
    assert refusal.value.code == "registry.campus_in_use"
    async with district.transaction() as session:
        await classes.refuse_class(session, officer, filed.id, "校区不属实")
        await changes.refuse(session, officer, change.id, "没有租赁合同")
    async with district.reading() as session:
        assert [each.name for each in await institutions.campuses(session, institution.id)] == ["主校区"]
    assert (await now(world, institution)).sales_paused_at is not None
