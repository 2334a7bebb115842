"""A fake LDAP directory that behaves like OpenLDAP's slapd: one engine, in process and on a socket."""
