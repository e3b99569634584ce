-- What a search looks through follows the registers: every change is noted in its own transaction, and worked off afterwards.

CREATE FUNCTION note_search_due() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_row jsonb := to_jsonb(coalesce(NEW, OLD));
BEGIN
    -- TG_ARGV: the columns that hold the institution's id and, where one class alone changed, the class's.
    INSERT INTO search_due (institution_id, class_id)
    VALUES (CAST(v_row ->> TG_ARGV[0] AS uuid), CAST(v_row ->> TG_ARGV[1] AS uuid));
    RETURN NULL;
END $$;

CREATE TRIGGER searched AFTER INSERT OR UPDATE ON institution FOR EACH ROW EXECUTE FUNCTION note_search_due('id');

CREATE TRIGGER searched AFTER INSERT OR UPDATE ON campus FOR EACH ROW EXECUTE FUNCTION note_search_due('institution_id');

CREATE TRIGGER searched AFTER UPDATE OF name ON teacher FOR EACH ROW EXECUTE FUNCTION note_search_due('institution_id');

CREATE TRIGGER searched AFTER INSERT OR UPDATE ON training_class FOR EACH ROW EXECUTE FUNCTION note_search_due('institution_id', 'id');

CREATE TRIGGER searched AFTER INSERT OR DELETE ON class_session FOR EACH ROW EXECUTE FUNCTION note_search_due('institution_id', 'class_id');

-- Delivering a class session, which happens all day, changes nothing that is searched by.
CREATE TRIGGER searched_again AFTER UPDATE ON class_session FOR EACH ROW
WHEN (OLD.starts_at <> NEW.starts_at OR (OLD.status = 'cancelled') <> (NEW.status = 'cancelled'))
EXECUTE FUNCTION note_search_due('institution_id', 'class_id');

-- The newest classes with all these marks and properties; what is NULL or empty is not asked for. Planned anew for every call with its
-- values, for the way to a word that every tenth class has is not the way to one that three have. Cheap conditions stand first.
-- What marks cannot say is looked for with strpos: for LIKE the planner would count the same words a second time.
CREATE FUNCTION search_classes(
    p_marks int[], p_terms text[], p_place text, p_least_fen bigint, p_most_fen bigint, p_hours int, p_now timestamptz,
    p_before uuid, p_limit int
) RETURNS SETOF uuid LANGUAGE plpgsql STABLE ROWS 20 AS $$
DECLARE
    v_query text := 'SELECT s.class_id FROM class_search s WHERE s.open_until > $7'
        || CASE WHEN p_least_fen IS NOT NULL THEN ' AND s.price_fen >= $4' ELSE '' END
        || CASE WHEN p_most_fen IS NOT NULL THEN ' AND s.price_fen <= $5' ELSE '' END
        || CASE WHEN p_hours IS NOT NULL THEN ' AND s.hours & $6 <> 0' ELSE '' END
        || CASE WHEN p_before IS NOT NULL THEN ' AND s.class_id < $8' ELSE '' END
        || CASE WHEN p_marks <> '{}' THEN ' AND s.marks @> $1' ELSE '' END
        || CASE WHEN p_place IS NOT NULL THEN ' AND strpos(s.places, $3) > 0' ELSE '' END;
BEGIN
    FOR v_number IN 1 .. cardinality(p_terms) LOOP
        v_query := v_query || format($c$ AND strpos(s.names || E'\n' || s.places, $2[%s]) > 0$c$, v_number);
    END LOOP;
    RETURN QUERY EXECUTE v_query || ' ORDER BY s.class_id DESC LIMIT $9'
        USING p_marks, p_terms, p_place, p_least_fen, p_most_fen, p_hours, p_now, p_before, p_limit;
END $$;

GRANT SELECT, INSERT, DELETE ON institution_search, class_search, search_due TO escrow_app;
GRANT SELECT, INSERT ON trial, calendar_feed, published_facts, scan_report TO escrow_app;
GRANT UPDATE (status, ended_at, marked_by, rating, comment, rated_at) ON trial TO escrow_app;
GRANT UPDATE (ended_at) ON calendar_feed TO escrow_app;
GRANT UPDATE ON published_facts TO escrow_app;
GRANT UPDATE (status, answer, handled_by, handled_at) ON scan_report TO escrow_app;

INSERT INTO search_due (institution_id) SELECT id FROM institution;
