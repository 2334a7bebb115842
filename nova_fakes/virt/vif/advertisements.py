"""Router advertisements: what makes an interface heed them.

The kernel itself asks for them, makes addresses and routes of them, and lets those run out (RFC 4861, RFC 4862).
"""

from collections.abc import Mapping
from pathlib import Path

from nova_fakes.exceptions import RealizerError
from nova_fakes.virt.vif.interfaces import IPV6_METRIC, METRIC_STEP, Interface

__all__ = ["heed"]

_SETTINGS = Path("/proc/sys/net/ipv6/conf")
#: Where the machine's defaults are others, as on a router. Neutron lets no address out that it did not choose, so that
#: there are no temporary ones (RFC 8981).
_VALUES: Mapping[str, int] = {
    "disable_ipv6": 0,
    "accept_ra": 1,
    "accept_ra_defrtr": 1,
    "accept_ra_pinfo": 1,
    "autoconf": 1,
    "use_tempaddr": 0,
}
#: Linux 5.12; before, the routes of all interfaces have one metric.
_METRIC = "ra_defrtr_metric"


def heed(interface: Interface) -> None:
    """Have an interface of the namespace in which the calling thread is heed router advertisements.

    :raises RealizerError: the kernel's settings cannot be changed
    """
    directory = _SETTINGS / interface.name
    metric = IPV6_METRIC + interface.ordinal * METRIC_STEP
    for name, value in {**_VALUES, _METRIC: metric}.items():
        try:
            if int((directory / name).read_text()) != value:
                (directory / name).write_text(str(value))
        except FileNotFoundError:
            if name != _METRIC:
                raise RealizerError(f"{interface.name} has no IPv6: {directory / name} is not there") from None
        except OSError as error:
            raise RealizerError(f"{interface.name} cannot heed routers: {directory / name}: {error.strerror}") from None
