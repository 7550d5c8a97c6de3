-- What the schema has been through, for whoever needs a certain version of it.
SELECT m.version, m.name, m.checksum
  FROM scheduler.migrations m
 ORDER BY m.version
