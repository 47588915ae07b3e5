"""Drives palace-mcp with the official Python SDK: sdk.py MODE PROXY PALACE.

Prints one JSON object: the negotiated version, how many tools, prompts and resources there are, what a search found of a
text just filed, and whether prompt, resource and completion say what they should.
"""

import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import PromptReference


async def main(mode: str, proxy: str, palace: str) -> None:
    server = StdioServerParameters(command=proxy, args=["--palace", palace], env=dict(os.environ))
    async with Client(stdio_client(server), mode=mode) as client:
        tools = await client.list_tools()
        text = f"a note filed in mode {mode}"
        added = await client.call_tool("mempalace_add_drawer", {"wing": "sdk", "room": "notes", "content": text})
        found = await client.call_tool("mempalace_search", {"query": text})
        prompts = await client.list_prompts()
        prompt = await client.get_prompt("recall", {"topic": "notes"})
        resources = await client.list_resources()
        templates = await client.list_resource_templates()
        taxonomy = await client.read_resource("palace://taxonomy")
        reference = PromptReference(type="ref/prompt", name="recall")
        completed = await client.complete(reference, {"name": "wing", "value": "s"})
        report = {
            "version": client.protocol_version,
            "tools": len(tools.tools),
            "prompts": len(prompts.prompts),
            "prompt": "notes" in prompt.messages[0].content.text,
            "resources": len(resources.resources) + len(templates.resource_templates),
            "taxonomy": json.loads(taxonomy.contents[0].text)["taxonomy"],
            "completed": completed.completion.values,
            "added": added.structured_content["success"],
            "found": text in [hit["text"] for hit in found.structured_content["results"]],
        }
        print(json.dumps(report))


asyncio.run(main(*sys.argv[1:]))
