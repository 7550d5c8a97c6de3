-- A worker waits until the schema is its version's, and may not ask the owner.
GRANT SELECT ON scheduler.migrations TO rota_service;
