\set package random(1, :packages)
INSERT INTO events (package_id, kind, payload) VALUES (:package, 'live', 'written during the demo');
