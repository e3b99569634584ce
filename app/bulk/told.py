"""What is wrong with an imported file's rows, as a spreadsheet to go through beside the file."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from app.ledger.sheets import never_a_formula

CSV = "text/csv; charset=utf-8"
_HEADINGS = ("行", "单元格", "列", "问题")


def problems_csv(problems: Sequence[Mapping[str, Any]]) -> bytes:
    """A row for each stored problem; it begins with a byte order mark, without which Excel takes Chinese for Latin."""
    written = io.StringIO()
    rows = csv.writer(written, quoting=csv.QUOTE_ALL)
    rows.writerow(_HEADINGS)
    for each in problems:
        told = (str(each.get("row") or ""), each["cell"], each["heading"], each["message_zh"])
        rows.writerow([never_a_formula(text) for text in told])
    return "\ufeff".encode() + written.getvalue().encode()
