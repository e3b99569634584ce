-- invariant: supervision.paid_only_cleared: No payout or refund to a named payee goes on from drafted without the clearance of a rule or an officer
SELECT i.book_id, i.reference AS "row", format('%s without its clearance', i.status) AS detail
FROM instruction i
WHERE (CAST(:book AS uuid) IS NULL OR i.book_id = :book)
    AND (i.purpose = 'payout' OR i.payee_id IS NOT NULL) AND i.status IN ('cleared', 'submitted', 'unknown', 'settled', 'returned')
    AND NOT EXISTS (SELECT FROM clearance c WHERE c.instruction_id = i.id AND c.decision IN ('cleared', 'released'));

-- invariant: supervision.held_is_undecided: What is held was held by a rule, and no officer has decided about it
SELECT i.book_id, i.reference AS "row", format('%s, %s', i.status, coalesce(string_agg(c.decision, ' '), 'no clearance')) AS detail
FROM instruction i LEFT JOIN clearance c ON c.instruction_id = i.id
WHERE (CAST(:book AS uuid) IS NULL OR i.book_id = :book) AND i.status IN ('drafted', 'held')
GROUP BY i.id
HAVING coalesce(string_agg(c.decision, ' '), '') <> CASE i.status WHEN 'held' THEN 'held' ELSE '' END;

-- invariant: supervision.officers_decide_held: An officer releases or rejects only what a rule held, and what was rejected has ended
SELECT i.book_id, i.reference AS "row", format('%s, %s', c.decision, i.status) AS detail
FROM clearance c JOIN instruction i ON i.id = c.instruction_id
WHERE (CAST(:book AS uuid) IS NULL OR i.book_id = :book)
    AND ((i.purpose <> 'payout' AND i.payee_id IS NULL)
        OR (c.decision IN ('released', 'rejected')
            AND NOT EXISTS (SELECT FROM clearance h WHERE h.instruction_id = i.id AND h.decision = 'held'))
        OR (c.decision = 'rejected' AND i.status <> 'rejected'));

-- invariant: supervision.alert_is_its_last_event: An alert stands as its last event left it
SELECT a.institution_id AS book_id, a.id::text AS "row", format('%s, last event %s', a.status, coalesce(e.status, 'none')) AS detail
FROM alert a
LEFT JOIN (SELECT DISTINCT ON (alert_id) alert_id, status FROM alert_event ORDER BY alert_id, seq DESC) AS e ON e.alert_id = a.id
WHERE (CAST(:book AS uuid) IS NULL OR a.institution_id = :book) AND a.status IS DISTINCT FROM e.status;

-- invariant: supervision.events_gapless: Alert events are numbered from 1 without a gap, up to their counter
SELECT CAST(NULL AS uuid) AS book_id, n.seq::text AS "row", format('%s events, counter at %s', n.events, n.counter) AS detail
FROM (
    SELECT coalesce(max(e.seq), 0) AS seq, count(*) AS events, (SELECT seq FROM supervision_cursor WHERE name = 'alerts') AS counter
    FROM alert_event e
) AS n
WHERE CAST(:book AS uuid) IS NULL AND (n.seq <> n.events OR n.seq IS DISTINCT FROM n.counter);

-- invariant: supervision.log_read_in_order: The tail of the log has not read beyond its end
SELECT CAST(NULL AS uuid) AS book_id, c.name AS "row", format('read to %s of %s', c.seq, l.newest) AS detail
FROM supervision_cursor c CROSS JOIN (SELECT coalesce(max(seq), 0) AS newest FROM ledger_log) AS l
WHERE CAST(:book AS uuid) IS NULL AND c.name = 'ledger' AND c.seq > l.newest;
