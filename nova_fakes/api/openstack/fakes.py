"""Every name of `nova.tests.api.openstack.fakes`, 2011, and the manager of `nova.tests.service_unittest`.

What needs nova is loaded when it is asked for; the rest works without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_fakes.api.openstack.accounts import (
    Context,
    FakeAuthDatabase,
    FakeAuthManager,
    FakeRequestContext,
    FakeToken,
)
from nova_fakes.api.openstack.pipeline import FakeRateLimiter, FakeRouter, fake_auth_init, wsgi_app

if TYPE_CHECKING:
    from nova_fakes.api.openstack.stubs import (
        FakeManager,
        stub_out_auth,
        stub_out_compute_api_snapshot,
        stub_out_glance,
        stub_out_glance_add_image,
        stub_out_image_service,
        stub_out_key_pair_funcs,
        stub_out_networking,
        stub_out_rate_limiting,
    )

__all__ = [
    "Context",
    "FakeAuthDatabase",
    "FakeAuthManager",
    "FakeManager",
    "FakeRateLimiter",
    "FakeRequestContext",
    "FakeRouter",
    "FakeToken",
    "fake_auth_init",
    "stub_out_auth",
    "stub_out_compute_api_snapshot",
    "stub_out_glance",
    "stub_out_glance_add_image",
    "stub_out_image_service",
    "stub_out_key_pair_funcs",
    "stub_out_networking",
    "stub_out_rate_limiting",
    "wsgi_app",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from nova_fakes.api.openstack import stubs

        return getattr(stubs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
