"""Pages, under the name that they have in `ldap.controls.pagedresults`."""

from nova_fakes.ldap.client.standins.libldap import SimplePagedResultsControl

__all__ = ["SimplePagedResultsControl"]
