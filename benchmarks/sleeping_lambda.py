"""A server that takes any number of Lambda invocations, sleeps, and answers each.

It is a process of its own, so that it costs the measured process nothing. It does no work: the bench measures the
caller, and real emulators could not run a thousand renders on a small machine.
"""

import asyncio
import json

from testbed.cloud.processes import ready, settings, when_caller_ends


async def serve(seconds: float) -> None:
    """Serve until the caller ends."""
    body = json.dumps({"exitCode": 0, "stdout": "", "stderr": "", "durationMs": round(seconds * 1000)})
    payload = json.dumps({"statusCode": 200, "body": body}).encode()
    head = [
        "HTTP/1.1 200 OK",
        "x-amzn-requestid: 1",
        "content-type: application/json",
        f"content-length: {len(payload)}",
    ]
    answer = "\r\n".join([*head, "", ""]).encode() + payload

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = next(
                    int(line.split(":")[1]) for line in request.splitlines() if line.startswith("content-length")
                )
                await reader.readexactly(length)
                await asyncio.sleep(seconds)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=4096)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    when_caller_ends(lambda: loop.call_soon_threadsafe(ended.set))
    ready(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(settings()["seconds"]))
