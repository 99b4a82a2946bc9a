#!/usr/bin/env python3
"""The prototype's protocol, written for the benchmark from its description (docs/migrating-from-the-prototype.md): an
asyncio server that reads one request, checks its signature, its action and a sliding window, acts, appends to its log
without making it durable, answers in five members and closes.

Usage: prototype.py SOCKET LOG KEY. Says "ready", and serves until standard input ends."""

import asyncio
import collections
import datetime
import hashlib
import hmac
import json
import os
import sys
import time

MAX_BYTES = 65536
WINDOW_S = 300
BUDGET = 1_000_000  # as much as ours has in this benchmark


class Service:
    def __init__(self, log, key):
        self.log, self.key = log, key.encode()
        self.granted = {}
        self.actions = {"adjust_swappiness": self.adjust_swappiness}

    async def adjust_swappiness(self, parameters):
        value = parameters.get("value", 60)
        if not 0 <= value <= 100:
            return False, "", "Swappiness must be 0-100"
        with open("/proc/sys/vm/swappiness", "w", encoding="ascii") as file:
            file.write(str(value))
        return True, f"Swappiness set to {value}", None

    def signature_fits(self, request):
        signed = f"{request['id']}:{request['action']}:{request['timestamp']}".encode()
        return hmac.compare_digest(hmac.new(self.key, signed, hashlib.sha256).hexdigest(), request["signature"])

    def within_budget(self, action):
        now = time.monotonic()
        window = self.granted.setdefault(action, collections.deque())
        while window and now - window[0] >= WINDOW_S:
            window.popleft()
        window.append(now)
        return len(window) <= BUDGET

    async def decide_and_act(self, request):
        if not self.signature_fits(request):
            return False, "", "Invalid signature"
        if request["action"] not in self.actions:
            return False, "", f"Action {request['action']} not allowed"
        if not self.within_budget(request["action"]):
            return False, "", "Rate limit exceeded"
        return await self.actions[request["action"]](request["parameters"])

    def record(self, request, success, duration_ms, error):
        self.log.write(json.dumps({"timestamp": datetime.datetime.now().isoformat(), "request_id": request["id"],
                                   "action": request["action"], "parameters": request["parameters"],
                                   "success": success, "duration_ms": duration_ms, "error": error}) + "\n")
        self.log.flush()

    async def serve(self, reader, writer):
        began = time.monotonic()
        request = json.loads(await reader.read(MAX_BYTES))
        success, output, error = await self.decide_and_act(request)
        duration_ms = int((time.monotonic() - began) * 1000)
        self.record(request, success, duration_ms, error)
        writer.write(json.dumps({"request_id": request["id"], "success": success, "output": output, "error": error,
                                 "duration_ms": duration_ms}).encode())
        await writer.drain()
        writer.close()


async def main():
    path, log_path, key = sys.argv[1:]
    with open(log_path, "a", encoding="utf-8") as log:
        service = Service(log, key)
        server = await asyncio.start_unix_server(service.serve, path)
        os.chmod(path, 0o666)
        print("ready", flush=True)
        async with server:
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
