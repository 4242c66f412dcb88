-- One line a figure. A ratio is taken inside one repetition; shown is the median of the repetitions, with the extremes.
-- A cost is the difference of two runs ("many" and "few") over the difference of their counts.
WITH figure AS (
    SELECT * FROM bench.figure
    UNION ALL
    SELECT 'ratio' || substr(b.figure, 4), b.sample, b.value / s.value
    FROM bench.figure AS b JOIN bench.figure AS s ON s.figure = 'single' || substr(b.figure, 4) AND s.sample = b.sample
    WHERE b.figure LIKE 'bbm\_%'
    UNION ALL
    SELECT split_part(t.figure, '_', 1) || '_cost_ms', t.sample, (t.value - u.value) / (n.value - m.value)
    FROM bench.figure AS t
    JOIN bench.figure AS u ON u.figure = replace(t.figure, '_many_', '_few_') AND u.sample = t.sample
    JOIN bench.figure AS n ON n.sample = t.sample
        AND n.figure = replace(t.figure, '_ms',
                               CASE WHEN t.figure ~ '^(jobs|held)' THEN '_jobs' ELSE '_sub_batches' END)
    JOIN bench.figure AS m ON m.figure = replace(n.figure, '_many_', '_few_') AND m.sample = t.sample
    WHERE t.figure LIKE '%\_many\_ms'
    UNION ALL
    SELECT 'jobs_syncs', m.sample, (m.value - f.value) / (jobs_m.value - jobs_f.value)
    FROM bench.figure AS m
    JOIN bench.figure AS f ON f.figure = 'jobs_few_syncs' AND f.sample = m.sample
    JOIN bench.figure AS jobs_m ON jobs_m.figure = 'jobs_many_jobs' AND jobs_m.sample = m.sample
    JOIN bench.figure AS jobs_f ON jobs_f.figure = 'jobs_few_jobs' AND jobs_f.sample = m.sample
    WHERE m.figure = 'jobs_many_syncs'
    UNION ALL
    SELECT 'memory_growth_kb', l.sample, l.value - e.value
    FROM bench.figure AS l JOIN bench.figure AS e USING (sample) WHERE l.figure = 'late_kb' AND e.figure = 'early_kb'
), line (position, about, label, figure, digits, judged, relation, goal) AS (VALUES
    (10, 'throughput', 'one UPDATE, rows/s', 'single_rows_s', 0, NULL, NULL, NULL::numeric),
    (11, 'throughput', 'bbm, rows/s', 'bbm_rows_s', 0, NULL, NULL, NULL),
    (12, 'throughput', 'rows/s, bbm : one UPDATE', 'ratio_rows_s', 2, 'median', '>=', 0.95),
    (13, 'throughput', 'one UPDATE, WAL bytes/row', 'single_wal_row', 0, NULL, NULL, NULL),
    (14, 'throughput', 'bbm, WAL bytes/row', 'bbm_wal_row', 0, NULL, NULL, NULL),
    (15, 'throughput', 'WAL, bbm : one UPDATE', 'ratio_wal_row', 2, 'median', '<=', 1.05),
    (16, 'throughput', 'one UPDATE, heap growth', 'single_heap_growth', 2, NULL, NULL, NULL),
    (17, 'throughput', 'bbm, heap growth', 'bbm_heap_growth', 2, 'median', '<=', 2.10),
    (18, 'throughput', 'one UPDATE, pk index growth', 'single_pk_growth', 2, NULL, NULL, NULL),
    (19, 'throughput', 'bbm, pk index growth', 'bbm_pk_growth', 2, 'median', '<=', 2.05),
    (20, 'sub-batches', 'rows each', 'sub_batch_rows', 0, NULL, NULL, NULL),
    (21, 'sub-batches', 'average statement, ms', 'sub_batch_average_ms', 1, NULL, NULL, NULL),
    (22, 'sub-batches', 'longest statement, ms', 'sub_batch_longest_ms', 1, NULL, NULL, NULL),
    (23, 'sub-batches', 'commit to commit, ms', 'sub_batch_gap_ms', 1, 'p99', '<=', 20),
    (30, 'queue to work', 'server idle: job starts, ms', 'idle_job', 1, 'p95', '<=', 100),
    (31, 'queue to work', 'server idle: first row seen, ms', 'idle_row', 1, NULL, NULL, NULL),
    (32, 'queue to work', 'beside another: job starts, ms', 'beside_job', 1, 'p95', '<=', 100),
    (33, 'queue to work', 'beside another: first row seen, ms', 'beside_row', 1, NULL, NULL, NULL),
    (40, 'bookkeeping', 'sub-batch that changes rows, ms', 'touch_cost_ms', 3, 'median', '<=', 0.15),
    (41, 'bookkeeping', 'sub-batch that changes none, ms', 'empty_cost_ms', 3, 'median', '<=', 0.05),
    (42, 'bookkeeping', 'job, ms', 'jobs_cost_ms', 3, 'median', '<=', 0.6),
    (43, 'bookkeeping', 'job, flushes of WAL to the disk', 'jobs_syncs', 2, NULL, NULL, NULL),
    (44, 'bookkeeping', 'such a flush at the time, ms', 'flush_ms', 3, NULL, NULL, NULL),
    (45, 'bookkeeping', 'job, while a client sits in bbm.wait, ms', 'held_cost_ms', 3, NULL, NULL, NULL),
    (46, 'bookkeeping', 'CALL: sub-batch that changes none, ms', 'call_cost_ms', 3, NULL, NULL, NULL),
    (47, 'bookkeeping', 'plain procedure, the same, ms', 'plain_cost_ms', 3, NULL, NULL, NULL),
    (50, 'pause', 'no job held, ms', 'polite_quiet_ms', 1, 'p95', '<=', 40),
    (51, 'pause', 'worker gone, ms', 'polite_gone_ms', 1, NULL, NULL, NULL),
    (52, 'pause', 'immediate: no job held, ms', 'abrupt_quiet_ms', 1, 'p95', '<=', 100),
    (53, 'pause', 'immediate: worker gone, ms', 'abrupt_gone_ms', 1, NULL, NULL, NULL),
    (60, 'memory', 'worker after 100 sub-batches, kB', 'early_kb', 0, NULL, NULL, NULL),
    (61, 'memory', 'worker after 10000 sub-batches, kB', 'late_kb', 0, NULL, NULL, NULL),
    (62, 'memory', 'growth in between, kB', 'memory_growth_kb', 0, 'max', '<=', 256)
), summary AS (
    SELECT figure, count(*) AS n, min(value) AS min, max(value) AS max,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY value)::numeric AS median,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY value)::numeric AS p95,
           percentile_cont(0.99) WITHIN GROUP (ORDER BY value)::numeric AS p99
    FROM figure GROUP BY figure
), judged AS (
    SELECT *, CASE judged WHEN 'median' THEN median WHEN 'p95' THEN p95 WHEN 'p99' THEN p99
                          WHEN 'max' THEN max END AS found
    FROM line JOIN summary USING (figure)
)
SELECT about, label AS figure, n, round(median, digits) AS median, round(min, digits) AS min, round(max, digits) AS max,
       CASE WHEN n >= 10 THEN round(p95, digits) END AS p95, CASE WHEN n >= 100 THEN round(p99, digits) END AS p99,
       judged || ' ' || relation || ' ' || goal AS goal,
       CASE WHEN judged IS NULL THEN ''
            WHEN relation = '<=' AND found <= goal OR relation = '>=' AND found >= goal THEN 'ok'
            ELSE 'miss' END AS verdict
FROM judged ORDER BY position;
