\pset tuples_only on
SELECT format('%2s  %-24s  %-9s %-21s %9s %10s  %-8s %7s  %s', id, name, status, progress, rows, rows_per_s, eta, workers, note)
FROM bbm.status ORDER BY id
