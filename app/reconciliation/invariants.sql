-- invariant: reconciliation.status_is_its_breaks: A day is matched exactly when it has no break
SELECT a.book_id, format('%s %s', a.account_no, r.value_on) AS "row", format('%s with %s breaks', r.status, count(b.id)) AS detail
FROM reconciliation r
JOIN bank_account a ON a.id = r.bank_account_id
LEFT JOIN reconciliation_break b ON b.bank_account_id = r.bank_account_id AND b.value_on = r.value_on
WHERE CAST(:book AS uuid) IS NULL OR a.book_id = :book
GROUP BY a.book_id, a.account_no, r.bank_account_id, r.value_on, r.status
HAVING (r.status = 'matched') <> (count(b.id) = 0);

-- invariant: reconciliation.breaks_explain: What the bank shows beyond the books is the sum of the day's named differences
SELECT a.book_id, format('%s %s', a.account_no, r.value_on) AS "row",
    format('statement %s, cash %s, named %s', r.statement_fen, r.cash_fen, coalesce(sum(b.amount_fen), 0)) AS detail
FROM reconciliation r
JOIN bank_account a ON a.id = r.bank_account_id
LEFT JOIN reconciliation_break b ON b.bank_account_id = r.bank_account_id AND b.value_on = r.value_on
    AND b.kind IN ('not_at_bank', 'other_amount', 'closing_differs', 'account_missing')
WHERE CAST(:book AS uuid) IS NULL OR a.book_id = :book
GROUP BY a.book_id, a.account_no, r.bank_account_id, r.value_on, r.statement_fen, r.cash_fen
HAVING r.statement_fen - r.cash_fen <> coalesce(sum(b.amount_fen), 0);
