"""How much a connection may have, and how long things may take."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server's connections.

    :param frame_max: the longest frame that is offered, octets
    :param channel_max: how many channels are offered
    :param heartbeat_s: the interval that is offered; 0: none
    :param delivery_octets: how much is delivered to a client that does not read it; then its consumers wait
    :param reply_octets: how much a client that does not read may be answered; then nothing more is read from it
    :param refusal_s: how long a client waits whose handshake went wrong
    :param handshake_s: how long a handshake may take
    :param close_s: how long the client may take to confirm that its connection is closed
    """

    frame_max: int = 131_072
    channel_max: int = 2_047
    heartbeat_s: int = 60
    delivery_octets: int = 1 << 20
    reply_octets: int = 16 << 20
    refusal_s: float = 3.0
    handshake_s: float = 10.0
    close_s: float = 10.0
