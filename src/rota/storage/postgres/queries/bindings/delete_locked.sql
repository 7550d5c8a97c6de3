-- A binding that is held ends; its schedule is dealt with in the same transaction. $1 tenant_id, $2 kind, $3 subject.
DELETE FROM scheduler.bindings WHERE tenant_id = $1 AND kind = $2 AND subject = $3
