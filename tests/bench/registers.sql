-- A district's registers: {institutions} institutions with {classes} classes each, names and places as they are given in a town.

SET session_replication_role = replica;
SET search_path = d{district};
SET synchronous_commit = off;

CREATE FUNCTION bench_id(at timestamptz, kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
        || '8' || lpad(to_hex(n), 15, '0'))::uuid
$$;

CREATE FUNCTION bench_pick(words text[], n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT words[1 + (abs(hashint8(n)) % cardinality(words))]
$$;

CREATE TABLE bench_school AS
SELECT i, {began} + i * interval '1 second' AS at, bench_id({began}, 101, i) AS id,
    (ARRAY['subject', 'arts', 'sports', 'science', 'other'])[1 + i % 5] AS kind,
    bench_pick(ARRAY['晨光', '星火', '远山', '启明', '博雅', '金苹果', '小天才', '童梦', '阳光', '育才', '新思维', '悦动', '卓越', '彩虹', '蓝天', '百川',
        '青藤', '知行', '鸿鹄', '乐学', '慧通', '起点', '优佳', '未来星', '龙娃', '驿都', '桃花源', '东安湖', '洛带', '柏合'], i)
    || bench_pick(ARRAY['', '第一', '第二', '东方', '西部', '国际', '实验', '双语'], i * 7)
    || (ARRAY['学科', '艺术', '体育', '科技', '综合'])[1 + i % 5] || '培训学校' || i AS name,
    '龙泉驿区' || bench_pick(ARRAY['龙泉街道', '大面街道', '十陵街道', '同安街道', '东安街道', '柏合街道', '西河街道', '洛带镇', '洪安镇', '山泉镇'], i * 3)
    || bench_pick(ARRAY['驿都大道', '北泉路', '音乐广场路', '洪河北路', '成龙大道', '桃都大道', '江华路', '龙都南路', '怡居路', '长柏路'], i * 11)
    || 1 + i % 300 || '号' AS address
FROM generate_series(1, {institutions}) AS i;

INSERT INTO book (id, opened_at) SELECT id, at FROM bench_school;

INSERT INTO institution (id, credit_code, name, kind, address, status, created_at)
SELECT id, '52510112MJR' || lpad(i::text, 7, '0'), name, kind, address, 'approved', at FROM bench_school;

INSERT INTO teacher (id, institution_id, name, certificate_no, subject, created_at)
SELECT bench_id({began}, 104, i * 2 + t), id, bench_pick(ARRAY['王', '李', '张', '刘', '陈', '杨', '黄', '赵', '吴', '周', '徐', '孙'], i + t)
    || bench_pick(ARRAY['小明', '静', '丽', '强', '敏', '军', '洋', '艳', '勇', '芳', '杰', '娟', '涛', '超', '秀英'], i * 13 + t) || '老师',
    'CERT-' || i || '-' || t, '任教', at
FROM bench_school CROSS JOIN generate_series(0, 1) AS t;

CREATE TABLE bench_course AS
SELECT n, i, id AS institution_id, bench_id({began}, 105, n) AS id, bench_id({began}, 104, i * 2 + n % 2) AS teacher_id,
    bench_pick(ARRAY['美术', '书法', '钢琴', '古筝', '舞蹈', '足球', '篮球', '游泳', '跆拳道', '围棋', '编程', '机器人', '数学思维', '英语阅读',
        '语文写作', '口才', '声乐', '武术', '轮滑', '科学实验'], n) AS subject
FROM (SELECT s.*, (s.i - 1) * {classes} + c AS n FROM bench_school s CROSS JOIN generate_series(1, {classes}) AS c) AS numbered;

INSERT INTO training_class (id, institution_id, teacher_id, name, subject, price_fen, listed_price_fen, lesson_count, lesson_minutes, seats,
    starts_on, ends_on, status, created_at, decided_at, decision_reason)
SELECT id, institution_id, teacher_id,
    bench_pick(ARRAY['少儿', '幼儿', '小学', '初中', '零基础', '提高', '创意', '趣味', '精品', '周末'], n * 5) || subject
    || bench_pick(ARRAY['启蒙班', '一班', '二班', '春季班', '集训班', '兴趣班', '晚班', '小班'], n * 17),
    subject, 50000 + n % 40 * 10000, 50000 + n % 40 * 10000, {lessons}, 60, 20, ({first})::date, ({first})::date + 7 * {lessons}, 'opened',
    {began}, {began}, '登记'
FROM bench_course;

INSERT INTO class_session (id, class_id, institution_id, number, starts_at, ends_at, status)
SELECT bench_id({began}, 106, (n - 1) * {lessons} + k), id, institution_id, k, starts_at, starts_at + interval '1 hour', 'scheduled'
FROM bench_course
CROSS JOIN generate_series(1, {lessons}) AS k
CROSS JOIN LATERAL (SELECT {first} + (7 * k + n % 7) * interval '1 day' + (1 + n % 13) * interval '1 hour' AS starts_at) AS placed;

INSERT INTO search_due (institution_id) SELECT id FROM bench_school;

DROP TABLE bench_school, bench_course;
DROP FUNCTION bench_id, bench_pick;

ANALYZE;
