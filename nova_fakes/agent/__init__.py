"""The privileged agent: realizers behind a unix socket, for a nova-compute that has no privileges of its own."""
