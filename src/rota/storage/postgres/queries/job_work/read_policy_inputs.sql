-- What the attempts of policy jobs are handed: the rules, the graph, its overlays in the order in which they were named, and
-- the judgement that they go on from with the overlays that it was made by.
-- In the place of an overlay that is gone is an empty document: who judges refuses it.
-- service: a worker claims runs of all tenants.
SELECT j.run_id::text AS run_id, j.id::text AS job_id, j.mode AS kind, j.input, g.result AS graph,
       ARRAY(SELECT coalesce(o.result, '')
               FROM unnest(j.overlay_job_ids) WITH ORDINALITY AS n (id, place)
               LEFT JOIN scheduler.graph_jobs o ON o.tenant_id = j.tenant_id AND o.id = n.id AND o.state = 'succeeded'
              ORDER BY n.place) AS overlays,
       b.result AS base,
       ARRAY(SELECT coalesce(o.result, '')
               FROM unnest(b.overlay_job_ids) WITH ORDINALITY AS n (id, place)
               LEFT JOIN scheduler.graph_jobs o ON o.tenant_id = j.tenant_id AND o.id = n.id AND o.state = 'succeeded'
              ORDER BY n.place) AS base_overlays
  FROM scheduler.policy_jobs j
  LEFT JOIN scheduler.graph_jobs g ON g.tenant_id = j.tenant_id AND g.id = j.graph_job_id AND g.state = 'succeeded'
  LEFT JOIN scheduler.policy_jobs b ON b.tenant_id = j.tenant_id AND b.id = j.base_job_id AND b.state = 'succeeded'
 WHERE j.run_id = ANY ($1::uuid[])
   AND j.state = 'running'
