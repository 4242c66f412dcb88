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
    UNION ALL -- plain quotients of two figures
    SELECT q.figure, n.sample, n.value / d.value
    FROM (VALUES ('filter_sized_doubled', 'filter_full_sized_ms', 'filter_half_sized_ms'),
                 ('filter_counted_doubled', 'filter_full_counted_ms', 'filter_half_counted_ms'),
                 ('filter_single_doubled', 'filter_full_single_ms', 'filter_half_single_ms'),
                 ('filter_sized_ratio', 'filter_full_sized_ms', 'filter_full_single_ms'),
                 ('filter_counted_ratio', 'filter_full_counted_ms', 'filter_full_single_ms'),
                 ('key_ints_ratio', 'key_ints_ms', 'key_bigint_ms'), ('plain_ints_ratio', 'plain_ints_ms', 'plain_bigint_ms'),
                 ('key_text_ratio', 'key_text_ms', 'key_bigint_ms'), ('plain_text_ratio', 'plain_text_ms', 'plain_bigint_ms'),
                 ('key_mixed_ratio', 'key_mixed_ms', 'key_bigint_ms'), ('plain_mixed_ratio', 'plain_mixed_ms', 'plain_bigint_ms'),
                 ('workers_ratio', 'workers_1_ms', 'workers_2_ms'), ('sessions_ratio', 'sessions_1_ms', 'sessions_2_ms'),
                 ('workers_net_ratio', 'workers_1_net_ms', 'workers_2_net_ms'),
                 ('parted_ratio', 'parted_1_ms', 'parted_2_ms'), ('parted_net_ratio', 'parted_1_net_ms', 'parted_2_net_ms')) AS q (figure, numerator, denominator)
    JOIN bench.figure AS n ON n.figure = q.numerator
    JOIN bench.figure AS d ON d.figure = q.denominator AND d.sample = n.sample
    UNION ALL
    SELECT 'more_for_' || key, k.sample, k.value / one.value / (p.value / plain_one.value)
    FROM unnest(ARRAY['ints', 'text', 'mixed']) AS key
    JOIN bench.figure AS k ON k.figure = 'key_' || key || '_ms' JOIN bench.figure AS p ON p.figure = 'plain_' || key || '_ms' AND p.sample = k.sample
    JOIN bench.figure AS one ON one.figure = 'key_bigint_ms' AND one.sample = k.sample
    JOIN bench.figure AS plain_one ON plain_one.figure = 'plain_bigint_ms' AND plain_one.sample = k.sample
    UNION ALL
    SELECT 'part_cost_ms', p.sample, (p.value - w.value) / n.value
    FROM bench.figure AS p JOIN bench.figure AS w ON w.figure = 'whole_ms' AND w.sample = p.sample
    JOIN bench.figure AS n ON n.figure = 'parted_1_jobs' AND n.sample = p.sample
    WHERE p.figure = 'parted_1_ms'
    UNION ALL -- the dearest place of any table over the cheapest
    SELECT 'range_flat_' || unit, 1, max(median)::numeric / min(median)::numeric
    FROM (SELECT figure, split_part(figure, '_', 4) AS unit, percentile_cont(0.5) WITHIN GROUP (ORDER BY value) AS median
          FROM bench.figure WHERE figure ~ '^range_[0-9]+_' GROUP BY figure) AS place
    GROUP BY unit
), line (position, about, label, figure, digits, judged, relation, goal) AS (
    VALUES
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
    (62, 'memory', 'growth in between, kB', 'memory_growth_kb', 0, 'max', '<=', 256),
    (79, 'next range', 'buffers, dearest place : cheapest', 'range_flat_buffers', 2, 'median', '<=', 1.5),
    (79, 'next range', 'ms, dearest place : cheapest', 'range_flat_ms', 2, 'median', '<=', 1.5),
    (80, '1 row in 1000', 'time, bbm : one UPDATE', 'filter_sized_ratio', 2, NULL, NULL, NULL),
    (81, '1 row in 1000', 'batch size given, the same', 'filter_counted_ratio', 2, NULL, NULL, NULL),
    (82, '1 row in 1000', 'time, table doubled', 'filter_sized_doubled', 2, 'median', '<=', 2.5),
    (83, '1 row in 1000', 'batch size given, the same', 'filter_counted_doubled', 2, 'median', '<=', 2.5),
    (84, '1 row in 1000', 'one UPDATE, the same', 'filter_single_doubled', 2, NULL, NULL, NULL),
    (90, 'keys', 'time, two integers : bigint', 'key_ints_ratio', 2, 'median', '<=', 1.3),
    (91, 'keys', 'one UPDATE, the same', 'plain_ints_ratio', 2, NULL, NULL, NULL),
    (91.5, 'keys', 'the first of these : the second', 'more_for_ints', 2, 'median', '<=', 1.3),
    (92, 'keys', 'time, text, date, integer : bigint', 'key_text_ratio', 2, 'median', '<=', 1.3),
    (93, 'keys', 'one UPDATE, the same', 'plain_text_ratio', 2, NULL, NULL, NULL),
    (93.5, 'keys', 'the first of these : the second', 'more_for_text', 2, 'median', '<=', 1.3),
    (94, 'keys', 'time, two integers ASC, DESC : bigint', 'key_mixed_ratio', 2, 'median', '<=', 1.3),
    (95, 'keys', 'one UPDATE, the same', 'plain_mixed_ratio', 2, NULL, NULL, NULL),
    (95.5, 'keys', 'the first of these : the second', 'more_for_mixed', 2, 'median', '<=', 1.3),
    (100, 'workers', 'rows/s, two : one', 'workers_ratio', 2, 'median', '>=', 1.7),
    (100.5, 'workers', 'the same, without waiting for a core', 'workers_net_ratio', 2, NULL, NULL, NULL),
    (101, 'workers', 'two sessions, half of an UPDATE each : one', 'sessions_ratio', 2, NULL, NULL, NULL),
    (102, 'workers', 'share of the lesser one, 1 is fair', 'workers_2_least_share', 2, 'median', '>=', 0.8),
    (103, 'workers', 'time in jobs, of both', 'workers_2_busy', 2, 'median', '>=', 0.9),
    (104, 'workers', 'second one starts later, ms', 'workers_2_late_ms', 1, NULL, NULL, NULL),
    (105, 'workers', 'last one works alone, ms', 'workers_2_alone_ms', 1, NULL, NULL, NULL),
    (110, 'partitions', 'parts', 'parted_1_jobs', 0, NULL, NULL, NULL),
    (111, 'partitions', 'queue(), ms', 'parted_1_queue_ms', 0, NULL, NULL, NULL),
    (112, 'partitions', 'one table with all rows, ms', 'whole_ms', 0, NULL, NULL, NULL),
    (113, 'partitions', 'partitions, ms', 'parted_1_ms', 0, NULL, NULL, NULL),
    (114, 'partitions', 'more for each part, ms', 'part_cost_ms', 1, NULL, NULL, NULL),
    (115, 'partitions', 'two workers, ms', 'parted_2_ms', 0, NULL, NULL, NULL),
    (116, 'partitions', 'rows/s, two workers : one', 'parted_ratio', 2, NULL, NULL, NULL),
    (117, 'partitions', 'the same, without waiting for a core', 'parted_net_ratio', 2, NULL, NULL, NULL)
    UNION ALL
    SELECT 70 + dense_rank() OVER (ORDER BY rows, unit DESC) + place / 10.0, 'next range',
           format('%s rows, %s, %s', rows, (ARRAY['begin', 'middle', 'end'])[place], unit), figure,
           CASE unit WHEN 'ms' THEN 3 ELSE 0 END, NULL, NULL, NULL
    FROM (SELECT DISTINCT figure, split_part(figure, '_', 2)::bigint AS rows, split_part(figure, '_', 4) AS unit,
                 array_position(ARRAY['begin', 'middle', 'end'], split_part(figure, '_', 3)) AS place
          FROM bench.figure WHERE figure ~ '^range_[0-9]+_') AS place
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
