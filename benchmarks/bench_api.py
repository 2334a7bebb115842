"""The API fakes: requests a second on one core, beside an application that answers a constant behind the same server.

A process serves; a client in this one keeps one connection alive and asks, request after request. What is counted is
the server's own CPU time, so that the client and a busy machine do not matter: requests a second of it. Runs of the
fake and of the constant alternate, and each figure is the median of its runs. Prints a JSON list of objects with name,
unit, ours, other, other_is and ratio (ours / other).
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
from urllib.parse import urlsplit

REQUESTS = 1500
RUNS = 5
OTHER_IS = "a constant answer behind the same server"

SERVE = """
import sys
from nova_fakes.api.server import Server
from nova_fakes.api.stack import PATHS, Stack

def constant(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"{}"]

with Server({"/constant": constant}) as server:
    urls = dict.fromkeys(("identity", "image", "network", "volume", "compute"), server.url)
    with Stack(urls=urls) as stack:
        for name in stack.services:
            server.mount(PATHS[name][1], stack.mounted(name))
        print(server.url, flush=True)
        sys.stdin.read()
"""


class Client:
    """One connection that is kept alive."""

    def __init__(self, url):
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc)
        self.headers = {"Content-Type": "application/json"}

    def ask(self, method, path, body=None):
        self._connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        response = self._connection.getresponse()
        data = response.read()
        assert response.status < 300, (method, path, response.status, data[:300])
        return response, data

    def log_in(self):
        user = {"name": "admin", "domain": {"id": "default"}, "password": "secret"}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        response, _ = self.ask("POST", "/identity/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}})
        self.headers["X-Auth-Token"] = self.headers["X-Subject-Token"] = response.headers["X-Subject-Token"]


def cpu_s(pid):
    """Seconds of processor time that a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def prepare(client):
    """Make what is asked for; return (name, method, path, body) of each figure."""
    client.log_in()
    image = json.loads(client.ask("GET", "/image/v2/images")[1])["images"][0]["id"]
    network = json.loads(client.ask("GET", "/networking/v2.0/networks")[1])["networks"][0]["id"]
    volume = json.loads(client.ask("POST", "/volume/v3/volumes", {"volume": {"size": 1}})[1])["volume"]["id"]
    asked = {"server": {"name": "x", "imageRef": image, "flavorRef": "1", "networks": [{"uuid": network}]}}
    server = json.loads(client.ask("POST", "/compute/v2.1/servers", asked)[1])["server"]["id"]
    port = {"port": {"name": "y"}}
    port_id = json.loads(client.ask("GET", "/networking/v2.0/ports")[1])["ports"][0]["id"]
    return [
        ("identity: validate a token", "GET", "/identity/v3/auth/tokens?nocatalog=1", None),
        ("identity: validate a token, with the catalog", "GET", "/identity/v3/auth/tokens", None),
        ("identity: list own projects", "GET", "/identity/v3/auth/projects", None),
        ("image: show an image", "GET", f"/image/v2/images/{image}", None),
        ("network: show a network", "GET", f"/networking/v2.0/networks/{network}", None),
        ("network: change a port", "PUT", f"/networking/v2.0/ports/{port_id}", port),
        ("volume: show a volume", "GET", f"/volume/v3/volumes/{volume}", None),
        ("compute: show a server", "GET", f"/compute/v2.1/servers/{server}", None),
        ("compute: list servers in detail", "GET", "/compute/v2.1/servers/detail", None),
    ]


def rate(client, pid, count, method, path, body):
    """Requests a second of the server's processor time."""
    began = cpu_s(pid)
    for _ in range(count):
        client.ask(method, path, body)
    return count / max(cpu_s(pid) - began, 0.01)


def main():
    quick = "--quick" in sys.argv
    count, runs = (200, 1) if quick else (REQUESTS, RUNS)
    argv = [sys.executable, "-c", SERVE]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        client = Client(server.stdout.readline().strip())
        figures = []
        for name, method, path, body in prepare(client):
            rate(client, server.pid, 50, method, path, body)
            ours, other = [], []
            for _ in range(runs):
                ours.append(rate(client, server.pid, count, method, path, body))
                other.append(rate(client, server.pid, count, "GET", "/constant/", None))
            one, two = statistics.median(ours), statistics.median(other)
            figures.append(
                {
                    "name": name,
                    "unit": "requests/s of CPU",
                    "ours": round(one),
                    "other": round(two),
                    "other_is": OTHER_IS,
                    "ratio": round(one / two, 3),
                }
            )
        server.stdin.close()
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
