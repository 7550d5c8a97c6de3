-- Lets runs of a tenant go whose upstreams have ended already when they are enqueued, or skips them.
SELECT scheduler.decide_dependents(array_fill($1::text, ARRAY[cardinality($2::uuid[])]), $2::uuid[]) AS queues
