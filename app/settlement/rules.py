"""How much of an old contract (存量) may have been paid out: a pure decision."""

from app.policy.packs import HIGHEST_BPS, Rule


def reached_fen(rule: Rule, amount_fen: int, lesson_count: int, confirmed: int) -> int:
    """What the tranches that are reached come to, in fen, rounded down (rule `custody.old`, Tianjin Binhai: 30 %, 30 % and 40 %).

    The first is reached when a third of the lessons is confirmed, the second at two thirds, the last with the last lesson.
    """
    thirds = 3 if confirmed >= lesson_count else confirmed * 3 // lesson_count
    tranches = [rule.limits[name] for name in ("first_bps", "second_bps", "third_bps")]
    return amount_fen * sum(tranches[:thirds]) // HIGHEST_BPS
