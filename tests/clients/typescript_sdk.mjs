// What the TypeScript SDK v1, which most clients are built on, makes of our answers. Prints one JSON object.
//
//   CROSSWIRE_URL=http://127.0.0.1:8000/mcp CROSSWIRE_KEY=cw_... node typescript_sdk.mjs
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

async function connect(name) {
  const client = new Client({ name, version: "1" });
  const headers = { Authorization: `Bearer ${process.env.CROSSWIRE_KEY}` };
  const url = new URL(process.env.CROSSWIRE_URL);
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  return client;
}

const [alice, bob] = await Promise.all([connect("alice"), connect("bob")]);
const call = (client, name, args) => client.callTool({ name, arguments: args });
const told = {};

// After listTools() the client checks every structured answer against the tool's output schema.
told.tools = (await alice.listTools()).tools.map((tool) => tool.name);
await bob.listTools();

told.sent = await call(alice, "send_message", { sender: "alice", content: "shall we?", message_type: "request" });
told.checked = await call(bob, "check_messages", { instance_id: "bob" });
told.refused = await call(bob, "send_message", { sender: "bob", content: "yes", in_reply_to: 99 });
told.absent = await call(bob, "get_shared_data", { key: "nowhere" });

const waiting = call(alice, "wait_for_reply", { instance_id: "alice", after_id: 1 });
await call(bob, "send_message", { sender: "bob", content: "yes", in_reply_to: 1 });
told.waited = await waiting;

const nothing = { instance_id: "alice", after_id: 2, timeout_seconds: 0, persistent: false };
told.nothing = await call(alice, "wait_for_reply", nothing);

told.prompts = (await alice.listPrompts()).prompts.map((prompt) => prompt.name);
told.resource = await alice.readResource({ uri: "crosswire://channels/general" });
told.unknown = await call(alice, "nope", {}).catch((problem) => ({ code: problem.code, message: problem.message }));

await Promise.all([alice.close(), bob.close()]);
console.log(JSON.stringify(told));
