"""Drives palace-mcp with the official Python SDK: sdk.py MODE PROXY PALACE.

Prints one JSON object: the negotiated version, the number of tools, and what a search found of a text just filed.
"""

import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main(mode: str, proxy: str, palace: str) -> None:
    server = StdioServerParameters(command=proxy, args=["--palace", palace], env=dict(os.environ))
    async with Client(stdio_client(server), mode=mode) as client:
        tools = await client.list_tools()
        text = f"a note filed in mode {mode}"
        added = await client.call_tool("mempalace_add_drawer", {"wing": "sdk", "room": "notes", "content": text})
        found = await client.call_tool("mempalace_search", {"query": text})
        report = {
            "version": client.protocol_version,
            "tools": len(tools.tools),
            "added": added.structured_content["success"],
            "found": text in [hit["text"] for hit in found.structured_content["results"]],
        }
        print(json.dumps(report))


asyncio.run(main(*sys.argv[1:]))
