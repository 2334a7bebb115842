"""cinder-api, -scheduler, -volume and -backup in one process, over the driver of nova-fakes, with SQLite.

Identity and images come from fakes of its own or, where a second argument names them, of a sandbox:
`{"identity": URL, "image": URL, "password": …, "port": where Cinder is to answer}`. Prints where they are as one line
of JSON, then serves until its standard input ends. A process of its own: Cinder and nova have one configuration.
"""
# ruff: noqa: E402 (Cinder chooses its threads before anything else is imported)

import json
import logging
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ["OS_CINDER_DISABLE_EVENTLET_PATCHING"] = "true"
os.environ.pop("http_proxy", None)

from cinder import monkey_patch

monkey_patch.patch()

from cinder import objects

objects.register_all()

import sqlalchemy
from cinder import coordination, privsep, rpc, service
from cinder.common import config
from cinder.db import migration
from eventlet import tpool
from os_brick import privileged
from oslo_config import cfg
from paste import deploy

from nova_fakes.api.identity import IdentityService
from nova_fakes.api.identity import create_app as create_identity
from nova_fakes.api.image import ImageService
from nova_fakes.api.image import create_app as create_image
from nova_fakes.api.server import Server
from nova_fakes.clock import SystemClock
from nova_fakes.sandbox.database import WriterTurns

CONF = cfg.CONF
PASSWORD = "secret"
PASTE = Path(sys.prefix) / "etc" / "cinder" / "api-paste.ini"

CONFIGURATION = """
[DEFAULT]
host = volumes
state_path = {state}
transport_url = nova-fakes://cinder/
enabled_backends = first,second
default_volume_type = __DEFAULT__
glance_api_servers = {image}
allowed_direct_url_schemes = cinder
auth_strategy = keystone
api_paste_config = {paste}
resource_query_filters_file = {filters}
backend_stats_polling_interval = 60
service_down_time = 3600
scheduler_driver_init_wait_time = 1
allow_force_upload = true
quota_volumes = -1
quota_gigabytes = -1
quota_snapshots = -1
quota_groups = -1
quota_backups = -1
quota_backup_gigabytes = -1
backup_driver = cinder.backup.drivers.posix.PosixBackupDriver
backup_posix_path = {state}/backups
backup_use_same_host = true
backup_compression_algorithm = none
backup_file_size = 134217728
backup_sha_block_size_bytes = 134217728
[first]
volume_driver = nova_fakes.volume.cinder.NovaFakesDriver
volume_backend_name = first
nova_fakes_pools = fast:100,slow:1000
nova_fakes_store = {state}/first.store
nova_fakes_directory = {state}/first
nova_fakes_ledger = {state}/first.ledger
replication_device = backend_id:elsewhere,target_portal:192.0.2.7:3260
[second]
volume_driver = nova_fakes.volume.cinder.NovaFakesDriver
volume_backend_name = second
nova_fakes_pools = other:10
[database]
connection = sqlite:///{state}/cinder.sqlite
sqlite_synchronous = false
[coordination]
backend_url = file://{state}/coordination
[oslo_concurrency]
lock_path = {state}/locks
[key_manager]
backend = cinder.keymgr.conf_key_mgr.ConfKeyManager
fixed_key = 0000000000000000000000000000000000000000000000000000000000000000
[oslo_policy]
policy_file = {state}/policy.yaml
[keystone_authtoken]
{credentials}
service_token_roles = service
service_token_roles_required = true
[nova]
{credentials}
[service_user]
{credentials}
send_service_user_token = true
"""


class Nova:
    """What Cinder asks of nova: who holds an attachment. `POST /hold` tells it."""

    def __init__(self):
        self.held = {}

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"].strip("/").split("/")
        if path[-1] == "hold":
            body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            self.held[body["server"], body["volume"]] = body["attachment"]
            answer, status = {}, "200 OK"
        elif "os-volume_attachments" in path and (path[-3], path[-1]) in self.held:
            attachment = self.held[path[-3], path[-1]]
            answer = {"volumeAttachment": {"id": path[-1], "volumeId": path[-1], "attachment_id": attachment}}
            status = "200 OK"
        else:
            answer, status = {"itemNotFound": {"code": 404, "message": "no such attachment"}}, "404 Not Found"
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]


def credentials(cloud):
    return "\n".join(
        (
            "auth_type = password",
            f"auth_url = {cloud['identity']}/v3",
            "username = cinder",
            f"password = {cloud['password']}",
            "user_domain_id = default",
            "project_name = service",
            "project_domain_id = default",
        )
    )


def start_fakes(server, state):
    clock = SystemClock()
    identity = IdentityService(clock)
    endpoints = {
        "identity": f"{server.url}/identity",
        "image": f"{server.url}/image",
        "volumev3": f"{server.url}/volume/v3",
        "block-storage": f"{server.url}/volume/v3",
        "compute": f"{server.url}/compute/v2.1",
    }
    identity.bootstrap(PASSWORD, endpoints)
    server.mount("/identity", create_identity(identity))
    server.mount("/image", create_image(ImageService(clock, state / "images"), identity))
    server.mount("/compute", Nova())
    return {"identity": endpoints["identity"], "image": endpoints["image"], "password": PASSWORD}


def start_cinder(server, state, cloud):
    for name in ("coordination", "locks"):
        (state / name).mkdir()
    (state / "policy.yaml").write_text("{}\n")
    text = CONFIGURATION.format(
        state=state,
        image=cloud["image"],
        credentials=credentials(cloud),
        paste=PASTE,
        filters=PASTE.parent / "resource_filters.json",
    )
    (state / "cinder.conf").write_text(text)
    CONF(["--config-file", str(state / "cinder.conf")], project="cinder", default_config_files=[])
    config.set_middleware_defaults()
    with sqlalchemy.create_engine(f"sqlite:///{state}/cinder.sqlite").connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    WriterTurns().install()
    migration.db_sync()
    # qemu-img reads what belongs to this user: no helper has to become somebody else for it.
    privsep.sys_admin_pctxt.set_client_mode(False)
    privileged.default.set_client_mode(False)
    # Cinder fetches images through eventlet's threads, in native ones too, where the second fetch waits without end.
    tpool.execute = lambda function, *args, **kwargs: function(*args, **kwargs)
    tpool.Proxy = lambda thing, *args, **kwargs: thing
    coordination.COORDINATOR.start()
    rpc.init(CONF)
    services = [service.Service.create(binary="cinder-scheduler")]
    host_option = cfg.StrOpt("backend_host")
    for backend in CONF.enabled_backends:
        CONF.register_opt(host_option, group=backend)
        services.append(
            service.Service.create(
                host=f"{CONF.host}@{backend}", service_name=backend, binary="cinder-volume", coordination=True
            )
        )
    services.append(service.Service.create(binary="cinder-backup", coordination=True))
    for one in services:
        one.start()
    while not services[-1].manager.is_working():
        time.sleep(0.05)
    server.mount("/volume", deploy.loadapp(f"config:{PASTE}", name="osapi_volume"))
    return services


def main():
    logging.basicConfig(level=logging.WARNING)
    state = Path(sys.argv[1])
    state.mkdir(exist_ok=True)
    tempfile.tempdir = str(state)
    cloud = json.loads(sys.argv[2]) if len(sys.argv) > 2 else None
    server = Server(port=0 if cloud is None else cloud["port"])
    cloud = start_fakes(server, state) if cloud is None else cloud
    server.start()
    start_cinder(server, state, cloud)
    print(json.dumps({"url": server.url, "password": cloud["password"]}), flush=True)
    sys.stdin.read()
    server.stop()
    # Cinder's threads have no end of their own.
    threading.Timer(0.0, os._exit, (0,)).start()


if __name__ == "__main__":
    main()
