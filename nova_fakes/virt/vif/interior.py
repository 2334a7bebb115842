"""What is configured inside an instance, as messages to the kernel.

Most of it is the same for all the instances of a network, and is made once.
"""

from collections.abc import Iterable
from functools import lru_cache

from nova_fakes.virt.vif import plan, rtnetlink

__all__ = ["guest_messages"]


def guest_messages(operation: plan.ConfigureGuest, gateway_neighbours: bool = True) -> Iterable[rtnetlink.Message]:
    """List the messages that configure the inside of an instance, in the order in which the kernel accepts them."""
    if operation.loopback:
        yield _up(1)
    for interface in operation.interfaces:
        index = interface.index
        yield _no_autoconf(index)
        yield _up(index)
        for guest in interface.addresses:
            template = rtnetlink.ADDRESS4 if len(guest.address) == 4 else rtnetlink.ADDRESS6
            yield template.fill(index=index, address=guest.address, prefix_length=guest.prefix_length)
        for route in interface.routes:
            yield _route(index, route)
        for neighbour in interface.neighbours if gateway_neighbours else ():
            yield _neighbour(index, neighbour)


@lru_cache(maxsize=64)
def _up(index: int) -> rtnetlink.Message:
    return rtnetlink.UP_INDEX.fill(index=index)


@lru_cache(maxsize=64)
def _no_autoconf(index: int) -> rtnetlink.Message:
    return rtnetlink.NO_AUTOCONF_INDEX.fill(index=index)


@lru_cache(maxsize=1024)
def _route(index: int, route: plan.GuestRoute) -> rtnetlink.Message:
    template = rtnetlink.ROUTE4 if len(route.nexthop) == 4 else rtnetlink.ROUTE6
    return template.fill(
        index=index,
        destination=route.destination,
        prefix_length=route.prefix_length,
        nexthop=route.nexthop,
        metric=route.metric,
        flags=rtnetlink.ON_LINK if route.on_link else 0,
    )


@lru_cache(maxsize=1024)
def _neighbour(index: int, neighbour: plan.GuestNeighbour) -> rtnetlink.Message:
    template = rtnetlink.NEIGHBOUR4 if len(neighbour.address) == 4 else rtnetlink.NEIGHBOUR6
    return template.fill(index=index, address=neighbour.address, mac=neighbour.mac)
