-- Takes the answer of an address, by the hash of its secret: across tenants, by a function that runs as the owner.
SELECT scheduler.answer_callback($1::bytea, $2::text, $3::text, $4::text) AS receipt
