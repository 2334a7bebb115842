"""CPU per driver call at 1,000, 10,000 and 100,000 guests, beside nova's own fake driver with the same stand-ins.

Prints a JSON list of objects with name, unit, ours, other, other_is and ratio (ours / other). nova's fake does nothing
in pause, suspend and resume, and its diagnostics are constants.
"""

import argparse
import json
from functools import partial
from uuid import UUID

import peers
from peers import cpu_us, destroy, instance, spawn, vif

from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.hypervisor import Hypervisor

SIZES = (1_000, 10_000, 100_000)
CALLS = 1_000
VOLUME = {"driver_volume_type": "fake", "data": {"volume_id": str(UUID(int=3))}, "serial": str(UUID(int=3))}


def measure(driver, size):
    residents = [instance(number) for number in range(size)]
    for one in residents:
        spawn(driver, one)
    fresh = [instance(size + number) for number in range(CALLS)]
    wired = [(instance(size + CALLS + number), vif(number)) for number in range(CALLS)]
    sample = residents[:: max(1, size // CALLS)][:CALLS]
    ports = [(one, vif(CALLS + number)) for number, one in enumerate(sample)]
    return {
        "spawn": cpu_us(lambda one: spawn(driver, one), fresh),
        "spawn with one VIF": cpu_us(lambda pair: spawn(driver, pair[0], [pair[1]]), wired),
        "get_info": cpu_us(driver.get_info, sample),
        "instance_exists": cpu_us(driver.instance_exists, sample if size <= 10_000 else sample[:99]),
        "get_diagnostics": cpu_us(driver.get_diagnostics, sample),
        "get_instance_diagnostics": cpu_us(driver.get_instance_diagnostics, sample),
        "pause": cpu_us(driver.pause, sample),
        "unpause": cpu_us(driver.unpause, sample),
        "suspend": cpu_us(lambda one: driver.suspend(None, one), sample),
        "resume": cpu_us(lambda one: driver.resume(None, one, None), sample),
        "power_off": cpu_us(driver.power_off, sample),
        "power_on": cpu_us(lambda one: driver.power_on(None, one, None), sample),
        "hard reboot": cpu_us(lambda one: driver.reboot(None, one, None, "HARD"), sample),
        "attach_volume": cpu_us(lambda one: driver.attach_volume(None, VOLUME, one, "/dev/vdb"), sample),
        "detach_volume": cpu_us(lambda one: driver.detach_volume(None, VOLUME, one, "/dev/vdb"), sample),
        "attach_interface": cpu_us(lambda port: driver.attach_interface(None, port[0], None, port[1]), ports),
        "detach_interface": cpu_us(lambda port: driver.detach_interface(None, *port), ports),
        "get_num_instances": cpu_us(lambda one: driver.get_num_instances(), sample[:99]),
        "get_available_resource": cpu_us(lambda one: driver.get_available_resource(peers.HOST), sample[:99]),
        "destroy": cpu_us(lambda one: destroy(driver, one), fresh),
        "destroy of a missing one": cpu_us(lambda one: destroy(driver, one), fresh[:9]),
    }


def our_pair():
    """Two drivers over one fleet whose network takes no time."""
    fleet = Fleet(migration_bandwidth_mb_s=1e12)
    for host in ("source", "destination"):
        fleet.add(Hypervisor(host))
    with fleet.activate():
        return peers.make(peers.OURS, "source"), peers.make(peers.OURS, "destination")


def other_pair():
    return peers.make(peers.OTHER, "source"), peers.make(peers.OTHER, "destination")


def live_migration(source, destination, size):
    """Measure all that both drivers do, from the check before to where the destination has the guest."""
    residents = [instance(number) for number in range(size)]
    for one in residents:
        spawn(source, one)

    def arrived(context, one, *rest):
        destination.post_live_migration_at_destination(context, one, [])

    def failed(context, one, *rest, **options):
        raise RuntimeError(f"the live migration of {one.name} failed")

    def migrate(one):
        data = destination.check_can_live_migrate_destination(None, one, None, None, None, None)
        data = source.check_can_live_migrate_source(None, one, data)
        data = destination.pre_live_migration(None, one, None, [], None, data)
        source.live_migration(None, one, "destination", arrived, failed, False, data)

    return cpu_us(migrate, residents[:: max(1, size // CALLS)][:CALLS])


def figures_at(size):
    row = partial(peers.figure, unit="us of CPU per call")
    ours, other = (measure(peers.make(cls), size) for cls in (peers.OURS, peers.OTHER))
    rows = [row(f"{call} at {size:,} guests", ours=ours[call], other=other[call]) for call in ours]
    ours, other = (live_migration(*pair(), size) for pair in (our_pair, other_pair))
    return [*rows, row(f"live migration within the process at {size:,} guests", ours=ours, other=other)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave the last size out")
    sizes = SIZES[:-1] if parser.parse_args().quick else SIZES
    with peers.configured():
        print(json.dumps([figure for size in sizes for figure in figures_at(size)], indent=1))


if __name__ == "__main__":
    main()
