-- The user that Grafana reads with: it sees the schema report and nothing else. Postgres' image runs this
-- when it makes the database; with a database from before: docs/dashboards.md.
\set password `cat /run/secrets/grafana/database_password`
SELECT 'CREATE ROLE grafana LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grafana') \gexec
ALTER ROLE grafana PASSWORD :'password' CONNECTION LIMIT 10;
ALTER ROLE grafana SET default_transaction_read_only = on;
ALTER ROLE grafana SET statement_timeout = '30s';
