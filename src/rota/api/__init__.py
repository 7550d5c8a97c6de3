"""Front doors on the wire: who calls (authn), what they may do (authz), and how failures are said (problem)."""
