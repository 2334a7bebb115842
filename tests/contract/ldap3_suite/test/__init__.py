"""The package that ldap3's own tests take their configuration from; its source distribution leaves it out."""
