"""A whole nova around the fakes: real services, one process, one port, one state directory."""
