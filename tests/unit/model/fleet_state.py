"""What there is to say of a fleet, for comparisons; and what must always hold of it."""

from nova_fakes.virt.guest import Claim


def kept(fleet):
    """Return what outlives the process, by host."""
    return {name: _kept(host) for name, host in fleet.hosts.items()}


def whole(fleet):
    """Return everything, counters too, by host."""
    now_s = fleet.clock.now()
    return {
        name: {
            **_kept(host),
            "down": host.down,
            "used": host.capacity.used,
            "vcpu_s": host.capacity.vcpu_s(now_s),
            "uptime_s": now_s - host.booted_at_s,
            "arrivals": {uuid: (one.spec, one.claim, list(one.nics)) for uuid, one in host.arrivals.items()},
            "migrations": {uuid: _migration(one) for uuid, one in host.migrations.items()},
            "statistics": {} if host.down else {uuid: _counters(host, uuid) for uuid in host.guests},
        }
        for name, host in fleet.hosts.items()
    }


def check(fleet):
    """Refuse a fleet whose claims are not those of what is there, or that has a guest in two places."""
    for host in fleet.hosts.values():
        held = [guest.claim for guest in (*host.guests.values(), *host.retained.values())]
        held += [*host.left_disks.values(), *(arrival.claim for arrival in host.arrivals.values())]
        assert host.capacity.used == Claim.total(held)
    settled = [guest.uuid for host in fleet.hosts.values() for guest in host.guests.values() if not guest.outgoing]
    assert len(settled) == len(set(settled))


def _kept(host):
    return {
        "guests": {uuid: guest.to_record() for uuid, guest in sorted(host.guests.items())},
        "retained": {uuid: guest.to_record() for uuid, guest in sorted(host.retained.items())},
        "left_disks": dict(sorted(host.left_disks.items())),
        "images": dict(sorted(host.cached_images.items())),
        "shares": {share: sorted(users) for share, users in sorted(host.shares.items())},
        "enabled": host.enabled,
        "maintenance": host.maintenance,
    }


def _migration(one):
    return one.destination, one.began_s, one.duration_s, one.remaining_s(), one.progress()


def _counters(host, uuid):
    found = host.statistics(uuid)
    nics = [(nic.id, counters) for nic, counters in found.nics]
    return found.active_s, found.cpus, found.memory_used_mb, found.disks, nics
