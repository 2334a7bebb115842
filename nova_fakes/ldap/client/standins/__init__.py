"""What code finds in the place of python-ldap's classes where that is not installed: same names, same bytes."""

from nova_fakes.ldap.client.standins import deref, libldap, pagedresults, ppolicy, readentry, simple, sss, vlv
from nova_fakes.ldap.client.standins.base import (
    KNOWN_RESPONSE_CONTROLS,
    DecodeControlTuples,
    LDAPControl,
    RequestControl,
    RequestControlTuples,
    ResponseControl,
)
from nova_fakes.ldap.client.standins.libldap import AssertionControl, MatchedValuesControl, SimplePagedResultsControl
from nova_fakes.ldap.client.standins.simple import (
    AuthorizationIdentityRequestControl,
    AuthorizationIdentityResponseControl,
    BooleanControl,
    GetEffectiveRightsControl,
    ManageDSAITControl,
    OctetStringInteger,
    ProxyAuthzControl,
    RelaxRulesControl,
    ValueLessRequestControl,
)

__all__ = [
    "KNOWN_RESPONSE_CONTROLS", "AssertionControl", "AuthorizationIdentityRequestControl",
    "AuthorizationIdentityResponseControl", "BooleanControl", "DecodeControlTuples", "GetEffectiveRightsControl",
    "LDAPControl", "ManageDSAITControl", "MatchedValuesControl", "OctetStringInteger", "ProxyAuthzControl",
    "RelaxRulesControl", "RequestControl", "RequestControlTuples", "ResponseControl", "SimplePagedResultsControl",
    "ValueLessRequestControl", "deref", "libldap", "pagedresults", "ppolicy", "readentry", "simple", "sss", "vlv",
]  # fmt: skip
