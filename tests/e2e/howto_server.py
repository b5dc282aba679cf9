"""The chat server of "Building a TCP chat server with asyncio", a how-to of Python's documentation, as published.

It is here to hold hubbub against it, and to show its defects. Only its port is ours: howto_server.py PORT.
"""

import asyncio
import contextlib
import sys

connected_clients: dict[str, asyncio.StreamWriter] = {}


async def broadcast(message, *, sender=None):
    """Send a message to all connected clients except the sender."""

    async def send(writer):
        # Ignore clients that have already disconnected.
        with contextlib.suppress(ConnectionError):
            writer.write(message.encode())
            await writer.drain()

    async with asyncio.TaskGroup() as tg:
        for name, writer in list(connected_clients.items()):
            if name != sender:
                tg.create_task(send(writer))


async def handle_client(reader, writer):
    addr = writer.get_extra_info("peername")

    writer.write(b"Enter your name: ")
    await writer.drain()
    data = await reader.readline()
    if not data:
        writer.close()
        await writer.wait_closed()
        return

    name = data.decode().strip()
    connected_clients[name] = writer
    print(f"{name} ({addr}) has joined")

    try:
        await broadcast(f"*** {name} has joined the chat ***\n", sender=name)
        while True:
            try:
                async with asyncio.timeout(300):  # 5-minute timeout
                    data = await reader.readline()
            except TimeoutError:
                writer.write(b"Disconnected: idle timeout.\n")
                await writer.drain()
                break
            if not data:
                break
            message = data.decode().strip()
            if message:
                print(f"{name}: {message}")
                await broadcast(f"{name}: {message}\n", sender=name)
    except ConnectionError:
        pass
    finally:
        del connected_clients[name]
        print(f"{name} ({addr}) has left")
        await broadcast(f"*** {name} has left the chat ***\n")
        writer.close()
        await writer.wait_closed()


async def main():
    server = await asyncio.start_server(handle_client, "127.0.0.1", int(sys.argv[1]))
    addr = server.sockets[0].getsockname()
    print(f"Chat server running on {addr}")

    async with server:
        await server.serve_forever()


asyncio.run(main())
