\pset tuples_only on
SELECT format('%2s  %-20s  %-12s  %-9s  %s  %10s  %-8s  %s', id, name, table_name, status, progress, rows_per_s, eta, note)
FROM bbm.status ORDER BY id
