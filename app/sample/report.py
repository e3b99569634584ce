"""What a simulation came to: where every fen is, and whether the books, the bank and the statements agree."""

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from sqlalchemy import select, text

from app.banking.models import BankAccount
from app.ledger.check import Finding, check_side_by_side
from app.ledger.queries import trial_balance
from app.money import yuan
from app.sample.stage import Stage

_MOVED = text("SELECT kind, count(*) AS items, sum(amount_fen)::bigint AS fen FROM transfer GROUP BY kind")
_INSTRUCTED = text("""
    SELECT left(reference, 1) AS letter, status, count(*) AS items, sum(amount_fen)::bigint AS fen FROM instruction GROUP BY 1, 2
""")
_COUNTS = text("""
    SELECT (SELECT count(*) FROM contract WHERE paid_at IS NOT NULL) AS contracts,
        (SELECT count(*) FROM lesson WHERE status = 'confirmed') AS confirmed,
        (SELECT count(*) FROM dispute) AS disputes, (SELECT count(*) FROM dispute WHERE status = 'opened') AS open_disputes,
        (SELECT count(*) FROM alert) AS alerts, (SELECT count(*) FROM alert WHERE status <> 'resolved') AS open_alerts,
        (SELECT count(*) FROM reconciliation) AS account_days,
        (SELECT count(*) FROM reconciliation_break WHERE kind <> 'uninstructed_debit') AS breaks
""")


@dataclass(frozen=True, slots=True)
class Amount:
    """How many, and how much together."""

    items: int = 0
    fen: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The closing figures of a district, and everything that does not hold."""

    moved: dict[str, Amount]
    """By kind of transfer."""
    instructed: dict[tuple[str, str], Amount]
    """By letter of the reference and state of the instruction."""
    held: dict[str, int]
    """Fen by type of ledger account, over all books."""
    counts: dict[str, int]
    findings: list[Finding]
    disagreements: list[str]

    @property
    def holds(self) -> bool:
        """Whether books and bank agree, and no difference is left unexplained."""
        return not self.findings and not self.disagreements and not self.counts["breaks"]

    def ended(self, letter: str, *states: str) -> Amount:
        """Instructions of a sort in these states."""
        found = [self.instructed.get((letter, state), Amount()) for state in states]
        return Amount(sum(each.items for each in found), sum(each.fen for each in found))


async def closing_report(stage: Stage) -> Report:
    """Read the figures, hold every invariant, and ask the bank for every balance and for its own proof."""
    async with stage.district.reading() as session:
        moved = {row.kind: Amount(row.items, row.fen) for row in await session.execute(_MOVED)}
        instructed = {(row.letter, row.status): Amount(row.items, row.fen) for row in await session.execute(_INSTRUCTED)}
        counts = dict((await session.execute(_COUNTS)).one()._mapping)
        held: dict[str, int] = {}
        for line in await trial_balance(session):
            held[line.type] = held.get(line.type, 0) + line.balance_fen
    findings = await check_side_by_side(stage.district)
    return Report(moved, instructed, held, counts, findings, await _disagreements(stage))


async def _disagreements(stage: Stage) -> list[str]:
    """Where the bank's own books do not hold, or an account there is not what our cash says."""
    proof = await stage.bank.books()
    found = list(proof.broken)
    cash = text("SELECT balance_fen FROM ledger_account WHERE book_id = :book AND type = 'cash'")
    async with stage.district.reading() as session:
        for account in await session.scalars(select(BankAccount).where(BankAccount.role == "supervised").order_by(BankAccount.id)):
            ours = await session.scalar(cash, {"book": account.book_id}) or 0
            theirs = await stage.bank.balance_of(account.account_no)
            if ours != theirs:
                found.append(f"{account.holder_name}: 账簿 {yuan(ours)}，银行 {yuan(theirs)}")
    return found


def show(report: Report, console: Console) -> None:
    """The closing table, and every broken row by name."""
    table = Table(title="收支与结余")
    table.add_column("项目")
    table.add_column("笔数", justify="right")
    table.add_column("金额", justify="right")
    for name, amount in _lines(report):
        table.add_row(name, f"{amount.items:,}" if amount.items else "", yuan(amount.fen))
    console.print(table)
    counts = report.counts
    told = [
        f"已缴费合同 {counts['contracts']}，已确认课时 {counts['confirmed']}",
        f"异议 {counts['disputes']}（未裁决 {counts['open_disputes']}），预警 {counts['alerts']}（未处置 {counts['open_alerts']}）",
        f"对账 {counts['account_days']} 户日，未平差错 {counts['breaks']}",
    ]
    console.print("\n".join(told))
    for finding in report.findings:
        console.print(f"[red]{finding.name}[/red] {finding.sentence} {finding.book_id or ''} {finding.row} {finding.detail}")
    for sentence in report.disagreements:
        console.print(f"[red]{sentence}[/red]")
    console.print("账簿核对无误，与银行一致。" if report.holds else "[red]账簿或对账存在差错，见上。[/red]")


def _lines(report: Report) -> list[tuple[str, Amount]]:
    moved = report.moved
    reversed_releases = moved.get("release_reversed", Amount())
    released = moved.get("lesson_released", Amount())
    return [
        ("家长缴入（含误缴）", moved.get("received", Amount())),
        ("其中入监管", moved.get("payment_matched", Amount())),
        ("误缴已退回", report.ended("S", "settled")),
        ("课消划拨", Amount(released.items - reversed_releases.items, released.fen - reversed_releases.fen)),
        ("退费已到账", report.ended("R", "settled")),
        ("退费未成功", report.ended("R", "rejected", "returned")),
        ("结算已到账", report.ended("T", "settled")),
        ("结算被拒或退汇", report.ended("T", "rejected", "returned")),
        ("结算在途或暂扣", report.ended("T", "drafted", "held", "cleared", "submitted", "unknown")),
        ("监管余额", Amount(0, report.held.get("escrow", 0))),
        ("应付机构", Amount(0, report.held.get("payable", 0))),
        ("待转出", Amount(0, report.held.get("outgoing", 0))),
        ("挂账", Amount(0, report.held.get("suspense", 0))),
        ("监管账户现金", Amount(0, report.held.get("cash", 0))),
    ]
