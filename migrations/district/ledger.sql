-- The one door to the books, and the log behind it. Every function pins the search path it was created under.

INSERT INTO transfer_kind (kind, debit_type, credit_type) VALUES
    ('received', 'cash', 'suspense'),
    ('settled', 'outgoing', 'cash'),
    ('returned', 'cash', 'outgoing'),
    ('taken', 'shortfall', 'cash'),
    ('payment_matched', 'suspense', 'escrow'),
    ('lesson_released', 'escrow', 'payable'),
    ('release_reversed', 'payable', 'escrow'),
    ('payout_reserved', 'payable', 'outgoing'),
    ('refund_reserved', 'escrow', 'outgoing'),
    ('refund_reserved', 'suspense', 'outgoing'),
    ('unreserved', 'outgoing', 'payable'),
    ('unreserved', 'outgoing', 'escrow'),
    ('unreserved', 'outgoing', 'suspense'),
    ('made_good', 'suspense', 'shortfall'),
    ('made_good', 'payable', 'shortfall');

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME USING ERRCODE = 'EL009';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON transfer FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON transfer EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_log FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON ledger_log EXECUTE FUNCTION refuse_change();

CREATE FUNCTION ledger_open_book(p_book uuid, p_clock timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO book (id, opened_at) VALUES (p_book, p_clock) ON CONFLICT (id) DO NOTHING
$$;

-- Posts a list in its order, all or nothing; answers one row per item.
-- Errors: EL001 unknown kind, wrong ledger accounts or amount; EL002 other facts under a known reference;
-- EL003 overdraft; EL004 a reversal that does not mirror its original. DETAIL is the item's position, from 0.
CREATE FUNCTION ledger_post(
    p_ids uuid[], p_kinds text[], p_references text[], p_books uuid[], p_debits text[], p_credits text[], p_amounts bigint[],
    p_occurred timestamptz[], p_values date[], p_business date[], p_reverses uuid[], p_evidence bytea[],
    p_posted_by text[], p_batch uuid, p_clock timestamptz
) RETURNS TABLE (item int, transfer_id uuid, repeated boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
-- Its plans are made once per connection, often while the tables are small, and must still be good when they have grown.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    v_bad bigint;
    v_clock timestamptz := clock_timestamp();
    v_recorded timestamptz;
    v_fresh bigint[];
    v_debits bigint[];
    v_debit_balances bigint[];
    v_debit_versions bigint[];
    v_credits bigint[];
    v_credit_balances bigint[];
    v_credit_versions bigint[];
BEGIN
    IF cardinality(p_ids) NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'between 1 and 1000 items' USING ERRCODE = 'EL001', DETAIL = '0';
    END IF;
    IF p_clock IS NOT NULL THEN
        IF EXISTS (SELECT FROM public.district d WHERE 'd' || d.code = current_schema() AND d.mode = 'live') THEN
            RAISE EXCEPTION 'the clock of a live district is the database''s' USING ERRCODE = 'EL001', DETAIL = '0';
        END IF;
        v_clock := p_clock;
    END IF;

    SELECT u.i - 1 INTO v_bad
    FROM unnest(p_kinds, p_debits, p_credits, p_amounts) WITH ORDINALITY AS u(kind, debit, credit, amount, i)
    WHERE u.amount IS NULL OR u.amount NOT BETWEEN 1 AND 10000000000000 OR NOT EXISTS (
        SELECT FROM transfer_kind k WHERE k.kind = u.kind
            AND k.debit_type = split_part(u.debit, ':', 1) AND k.credit_type = split_part(u.credit, ':', 1))
    ORDER BY u.i LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'no such kind between these ledger accounts, or no such amount' USING ERRCODE = 'EL001', DETAIL = v_bad;
    END IF;

    INSERT INTO ledger_account (book_id, code, type, changed_at)
    SELECT DISTINCT u.book_id, u.code, split_part(u.code, ':', 1), v_clock
    FROM unnest(p_books || p_books, p_debits || p_credits) AS u(book_id, code)
    WHERE NOT EXISTS (SELECT FROM ledger_account a WHERE a.book_id = u.book_id AND a.code = u.code)
    ORDER BY 1, 2
    ON CONFLICT (book_id, code) DO NOTHING;

    -- Sorted, and FOR NO KEY UPDATE: a plain FOR UPDATE would block other posts' foreign-key checks.
    SELECT greatest(max(locked.changed_at), v_clock) INTO v_recorded
    FROM (
        SELECT a.changed_at FROM ledger_account a
        WHERE (a.book_id, a.code) IN (SELECT * FROM unnest(p_books || p_books, p_debits || p_credits))
        ORDER BY a.id FOR NO KEY UPDATE
    ) AS locked;

    -- Only now, with the locks held and a fresh snapshot, can a concurrent repeat be seen.
    WITH item AS (
        SELECT u.*, first_value(u.i) OVER w AS first_i,
            first_value(ROW(u.book_id, u.debit, u.credit, u.amount, u.reverses)) OVER w AS first_facts
        FROM unnest(p_kinds, p_references, p_books, p_debits, p_credits, p_amounts, p_reverses)
            WITH ORDINALITY AS u(kind, reference, book_id, debit, credit, amount, reverses, i)
        WINDOW w AS (PARTITION BY u.kind, u.reference ORDER BY u.i)
    ), known AS (
        SELECT item.i, item.first_i, t.id,
            (item.first_facts IS DISTINCT FROM ROW(item.book_id, item.debit, item.credit, item.amount, item.reverses))
            OR (t.id IS NOT NULL AND ROW(t.book_id, d.code, c.code, t.amount_fen, t.reverses)
                IS DISTINCT FROM ROW(item.book_id, item.debit, item.credit, item.amount, item.reverses)) AS differs
        FROM item
        LEFT JOIN transfer t ON t.kind = item.kind AND t.reference = item.reference
        LEFT JOIN ledger_account d ON d.id = t.debit
        LEFT JOIN ledger_account c ON c.id = t.credit
    )
    SELECT min(known.i) FILTER (WHERE known.differs) - 1,
        coalesce(array_agg(known.i ORDER BY known.i) FILTER (WHERE known.id IS NULL AND known.i = known.first_i), '{}')
    INTO v_bad, v_fresh FROM known;
    IF v_bad IS NOT NULL THEN
        RAISE EXCEPTION 'this reference stands for other facts' USING ERRCODE = 'EL002', DETAIL = v_bad;
    END IF;

    SELECT i - 1 INTO v_bad FROM unnest(v_fresh) AS i
    WHERE p_reverses[i] IS NOT NULL AND NOT EXISTS (
        SELECT FROM transfer t JOIN ledger_account d ON d.id = t.debit JOIN ledger_account c ON c.id = t.credit
        WHERE t.id = p_reverses[i] AND t.book_id = p_books[i] AND t.amount_fen = p_amounts[i]
            AND d.code = p_credits[i] AND c.code = p_debits[i])
    ORDER BY i LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a reversal mirrors its original' USING ERRCODE = 'EL004', DETAIL = v_bad;
    END IF;

    WITH entry AS (
        SELECT u.i, side.is_debit, u.amount, a.id, a.balance_fen, a.version, (a.side = 'asset') = side.is_debit AS adds
        FROM unnest(p_books, p_debits, p_credits, p_amounts) WITH ORDINALITY AS u(book_id, debit, credit, amount, i)
        CROSS JOIN (VALUES (true), (false)) AS side(is_debit)
        JOIN ledger_account a ON a.book_id = u.book_id AND a.code = CASE WHEN side.is_debit THEN u.debit ELSE u.credit END
        WHERE u.i = ANY (v_fresh)
    ), running AS (
        SELECT entry.i, entry.is_debit, entry.id,
            (entry.balance_fen + sum(CASE WHEN entry.adds THEN entry.amount ELSE -entry.amount END) OVER w)::bigint AS balance,
            entry.version + row_number() OVER w AS version
        FROM entry WINDOW w AS (PARTITION BY entry.id ORDER BY entry.i ROWS UNBOUNDED PRECEDING)
    ), pair AS (
        SELECT running.i,
            max(running.id) FILTER (WHERE is_debit) AS debit, max(running.id) FILTER (WHERE NOT is_debit) AS credit,
            max(balance) FILTER (WHERE is_debit) AS debit_balance, max(balance) FILTER (WHERE NOT is_debit) AS credit_balance,
            max(version) FILTER (WHERE is_debit) AS debit_version, max(version) FILTER (WHERE NOT is_debit) AS credit_version
        FROM running GROUP BY running.i
    )
    SELECT array_agg(debit ORDER BY i), array_agg(debit_balance ORDER BY i), array_agg(debit_version ORDER BY i),
        array_agg(credit ORDER BY i), array_agg(credit_balance ORDER BY i), array_agg(credit_version ORDER BY i),
        min(i) FILTER (WHERE debit_balance < 0 OR credit_balance < 0) - 1
    INTO v_debits, v_debit_balances, v_debit_versions, v_credits, v_credit_balances, v_credit_versions, v_bad FROM pair;
    IF v_bad IS NOT NULL THEN
        RAISE EXCEPTION 'a ledger account would be overdrawn' USING ERRCODE = 'EL003', DETAIL = v_bad;
    END IF;

    WITH stored AS (
        INSERT INTO transfer (id, format, book_id, kind, reference, debit, credit, amount_fen, debit_balance_fen, credit_balance_fen,
            debit_version, credit_version, occurred_at, value_on, business_on, recorded_at, reverses, batch, posted_by, evidence_sha256)
        SELECT p_ids[f.i], 1, p_books[f.i], p_kinds[f.i], p_references[f.i], f.debit, f.credit, p_amounts[f.i],
            f.debit_balance, f.credit_balance, f.debit_version, f.credit_version,
            p_occurred[f.i], p_values[f.i], p_business[f.i], v_recorded, p_reverses[f.i], p_batch, p_posted_by[f.i], p_evidence[f.i]
        FROM unnest(v_fresh, v_debits, v_debit_balances, v_debit_versions, v_credits, v_credit_balances, v_credit_versions)
            AS f(i, debit, debit_balance, debit_version, credit, credit_balance, credit_version)
        RETURNING id
    )
    INSERT INTO ledger_unsealed (transfer_id) SELECT id FROM stored;

    UPDATE ledger_account a SET balance_fen = last.balance, version = last.version, changed_at = v_recorded
    FROM (
        SELECT DISTINCT ON (e.id) e.id, e.balance, e.version
        FROM unnest(v_debits || v_credits, v_debit_balances || v_credit_balances, v_debit_versions || v_credit_versions)
            AS e(id, balance, version)
        ORDER BY e.id, e.version DESC
    ) AS last
    WHERE a.id = last.id;

    RETURN QUERY
    SELECT (u.i - 1)::int, t.id, t.id <> u.id
    FROM unnest(p_ids, p_kinds, p_references) WITH ORDINALITY AS u(id, kind, reference, i)
    JOIN transfer t ON t.kind = u.kind AND t.reference = u.reference
    ORDER BY u.i;
END $$;

-- Canonical bytes of a leaf: format, district, then every field with its length in front; instants in UTC microseconds.
CREATE FUNCTION ledger_leaf(t transfer, p_district text) RETURNS bytea
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT sha256(string_agg(int4send(coalesce(octet_length(f.field), -1)) || coalesce(f.field, ''), ''::bytea ORDER BY f.i))
    FROM unnest(ARRAY[
        int2send(t.format), convert_to(p_district, 'UTF8'), uuid_send(t.id), uuid_send(t.book_id), convert_to(t.kind, 'UTF8'),
        convert_to(t.reference, 'UTF8'),
        (SELECT convert_to(a.code, 'UTF8') FROM ledger_account a WHERE a.id = t.debit),
        (SELECT convert_to(a.code, 'UTF8') FROM ledger_account a WHERE a.id = t.credit),
        int8send(t.amount_fen), int8send(t.debit_balance_fen), int8send(t.credit_balance_fen),
        int8send(t.debit_version), int8send(t.credit_version),
        int8send((extract(epoch FROM t.occurred_at) * 1000000)::bigint), convert_to(t.value_on::text, 'UTF8'),
        convert_to(t.business_on::text, 'UTF8'), int8send((extract(epoch FROM t.recorded_at) * 1000000)::bigint),
        uuid_send(t.reverses), uuid_send(t.batch), convert_to(t.posted_by, 'UTF8'), t.evidence_sha256
    ]) WITH ORDINALITY AS f(field, i)
$$;

-- Numbers up to p_limit committed transfers that the log does not hold yet. One sealer at a time; a second finds nothing to do.
CREATE FUNCTION ledger_seal(p_limit int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    v_sealed int;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('ledger_seal'), hashtext(current_schema())) THEN
        RETURN 0;
    END IF;
    WITH due AS (
        DELETE FROM ledger_unsealed u
        WHERE u.transfer_id IN (SELECT transfer_id FROM ledger_unsealed ORDER BY transfer_id LIMIT p_limit) RETURNING u.transfer_id
    )
    INSERT INTO ledger_log (seq, transfer_id, leaf_hash)
    SELECT coalesce((SELECT max(seq) FROM ledger_log), 0) + row_number() OVER (ORDER BY t.recorded_at, t.id),
        t.id, ledger_leaf(t, substr(current_schema(), 2))
    FROM due JOIN transfer t ON t.id = due.transfer_id;
    GET DIAGNOSTICS v_sealed = ROW_COUNT;
    RETURN v_sealed;
END $$;
