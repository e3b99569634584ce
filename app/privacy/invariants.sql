-- invariant: privacy.answered_for: Somebody answers for every child with a live contract, and neither they nor who signed it are erased
SELECT k.institution_id AS book_id, k.id::text AS "row", format('contract %s', k.status) AS detail
FROM contract k JOIN student s ON s.id = k.student_id JOIN guardian p ON p.id = k.guardian_id
WHERE (CAST(:book AS uuid) IS NULL OR k.institution_id = :book) AND k.status IN ('created', 'agreed', 'paid')
    AND (s.erased_at IS NOT NULL OR p.erased_at IS NOT NULL OR NOT EXISTS (
        SELECT FROM guardianship g JOIN guardian a ON a.id = g.guardian_id WHERE g.student_id = k.student_id AND a.erased_at IS NULL));

-- invariant: privacy.erased_left: Nobody answers for an erased child, and an erased guardian answers for nobody
SELECT CAST(NULL AS uuid) AS book_id, g.student_id::text AS "row", format('guardian %s', g.guardian_id) AS detail
FROM guardianship g JOIN student s ON s.id = g.student_id JOIN guardian a ON a.id = g.guardian_id
WHERE CAST(:book AS uuid) IS NULL AND (s.erased_at IS NOT NULL OR a.erased_at IS NOT NULL);

-- invariant: privacy.consent_weighed: A child may be contracted for exactly while a present guardian agreed and none withdrew
SELECT CAST(NULL AS uuid) AS book_id, s.id::text AS "row",
    format('version %s, hidden %s, agreed %s, withdrawn %s', s.consent_version, s.hidden_at IS NOT NULL, w.agreed, w.withdrawn) AS detail
FROM student s CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(last.act = 'given' AND last.version = s.consent_version), false) AS agreed,
        coalesce(bool_or(last.act = 'withdrawn'), false) AS withdrawn
    FROM (
        SELECT DISTINCT ON (c.guardian_id) c.act, c.version
        FROM consent c JOIN guardianship g ON g.student_id = c.student_id AND g.guardian_id = c.guardian_id
        WHERE c.student_id = s.id
        ORDER BY c.guardian_id, c.at DESC, c.id DESC
    ) last
) w
WHERE CAST(:book AS uuid) IS NULL AND s.erased_at IS NULL
    AND (w.withdrawn <> (s.hidden_at IS NOT NULL) OR (s.consent_version IS NOT NULL AND NOT w.agreed));

-- invariant: privacy.parties_forgotten: What a contract says about its parties is gone exactly when its child or who signed it is erased
SELECT k.institution_id AS book_id, k.id::text AS "row", format('emptied %s', d.parties_enc IS NULL) AS detail
FROM contract_document d JOIN contract k ON k.id = d.id JOIN student s ON s.id = k.student_id JOIN guardian p ON p.id = k.guardian_id
WHERE (CAST(:book AS uuid) IS NULL OR k.institution_id = :book)
    AND (d.parties_enc IS NULL) <> (s.erased_at IS NOT NULL OR p.erased_at IS NOT NULL);
