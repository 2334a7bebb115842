"""The management API and page of a broker: as much of RabbitMQ 3.10's as ``rabbitmqadmin`` and its like use."""

from nova_fakes.rabbit.management.app import create_app
from nova_fakes.rabbit.management.server import ManagementServer

__all__ = ["ManagementServer", "create_app"]
