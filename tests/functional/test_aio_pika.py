"""aio-pika's own features: connections that come back, calls, workers, transactions, pools."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from rabbitmq import running_rabbitmq

from nova_fakes.rabbit import Broker, Server

pytest.importorskip("aio_pika", reason="aio-pika, of the group contract, is not installed: it is the client here")

import aio_pika
from aio_pika.patterns import RPC, Master
from aio_pika.pool import Pool

PATIENCE_S = 30

Story = Callable[[str], Awaitable[None]]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Broker()) as running:
        yield running


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as url:
        yield url.replace("rabbit", "amqp", 1)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "fake":
        return address(request.getfixturevalue("server"))
    return str(request.getfixturevalue("real"))


def address(server: Server) -> str:
    return f"amqp://guest:guest@127.0.0.1:{server.port}/"


def tell(story: Awaitable[None]) -> None:
    asyncio.run(asyncio.wait_for(story, PATIENCE_S))  # type: ignore[arg-type]


async def calls(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        rpc = await RPC.create(await connection.channel())

        async def double(*, number: int) -> int:
            if number < 0:
                raise ValueError("too small")
            return 2 * number

        await rpc.register("double", double, auto_delete=True)
        assert await asyncio.gather(*(rpc.proxy.double(number=number) for number in range(20))) == list(range(0, 40, 2))
        with pytest.raises(ValueError, match="too small"):
            await rpc.proxy.double(number=-1)
        with pytest.raises(aio_pika.exceptions.MessageProcessError):
            await rpc.call("nobody", {})
        await rpc.close()


async def workers(url: str) -> None:
    done: list[int] = []
    all_done = asyncio.Event()

    async def work(*, number: int) -> None:
        done.append(number)
        if len(done) == 10:
            all_done.set()

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        master = Master(channel)
        worker = await master.create_worker("tasks", work, auto_delete=True)
        for number in range(10):
            await master.proxy.tasks(number=number)
        await all_done.wait()
        await worker.close()
        assert done == list(range(10))


async def transactions(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        queue = await channel.declare_queue("tx", auto_delete=True)
        for body, error in ((b"kept", None), (b"lost", ZeroDivisionError)):
            try:
                async with channel.transaction():
                    await channel.default_exchange.publish(aio_pika.Message(body), "tx")
                    if error is not None:
                        raise error
            except ZeroDivisionError:
                pass
        message = await queue.get(no_ack=True)
        assert message.body == b"kept"
        assert await queue.get(no_ack=True, fail=False) is None


async def pools(url: str) -> None:
    connections: Pool[Any] = Pool(lambda: aio_pika.connect(url), max_size=2)

    async def open_channel() -> Any:
        async with connections.acquire() as connection:
            return await connection.channel()

    channels: Pool[Any] = Pool(open_channel, max_size=4)

    async def publish(number: int) -> None:
        async with channels.acquire() as channel:
            await channel.default_exchange.publish(aio_pika.Message(b"%d" % number), "pool")

    async with connections, channels, channels.acquire() as channel:
        queue = await channel.declare_queue("pool")
        await asyncio.gather(*(publish(number) for number in range(50)))
        assert {int((await queue.get(no_ack=True)).body) for _ in range(50)} == set(range(50))
        await queue.delete()


async def ways(url: str) -> None:
    """Exchanges bound to exchanges, headers, returned and refused messages, an iterator's end."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)
        front = await channel.declare_exchange("front", "topic", auto_delete=True)
        back = await channel.declare_exchange("back", "headers", auto_delete=True)
        queue = await channel.declare_queue("end", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        await queue.bind(back, arguments={"x-match": "all", "kind": "build"})
        await back.bind(front, "compute.#")
        await front.publish(aio_pika.Message(b"one", headers={"kind": "build"}), "compute.one")
        with pytest.raises(aio_pika.exceptions.PublishError):
            await front.publish(aio_pika.Message(b"lost"), "network", mandatory=True)
        with pytest.raises(aio_pika.exceptions.DeliveryError):
            await front.publish(aio_pika.Message(b"two", headers={"kind": "build"}), "compute.two")
        async with queue.iterator() as found:
            async for message in found:
                async with message.process():
                    assert (message.body, message.exchange, message.routing_key) == (b"one", "front", "compute.one")
                break
        await queue.delete()
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await channel.declare_queue("end", passive=True)


@pytest.mark.parametrize("story", [calls, workers, transactions, pools, ways], ids=lambda story: story.__name__)
def test_its_patterns_work(story: Story, url: str) -> None:
    tell(story(url))


async def _robust(server: Server) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def keep(message: Any) -> None:
        async with message.process():
            got.put_nowait(message.body)

    connection = await aio_pika.connect_robust(address(server), reconnect_interval=0.05)
    again = asyncio.Event()
    connection.reconnect_callbacks.add(lambda *_: again.set())
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("robust", "fanout", auto_delete=True)
        queue = await channel.declare_queue("robust", auto_delete=True)
        await queue.bind(exchange)
        await queue.consume(keep)
        await exchange.publish(aio_pika.Message(b"before"), "")
        assert await got.get() == b"before"
        server.broker.stop()
        server.broker.start()
        await again.wait()
        await asyncio.to_thread(server.broker.wait_for_consumers, "robust")
        await exchange.publish(aio_pika.Message(b"after"), "")
        assert await got.get() == b"after"


def test_a_robust_connection_declares_everything_again(server: Server) -> None:
    tell(_robust(server))
