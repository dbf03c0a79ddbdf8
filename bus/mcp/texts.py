"""The text part of each tool's answer. Programs look for the phrases here (contract: "MCP tools"): they stay.

A text function gets the arguments, the result and the answer's fence, and returns what a model reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from bus.mcp.fence import Fence

type Args = Mapping[str, Any]
type Data = Mapping[str, Any]


def beside(name: str, data: Data) -> tuple[str, ...]:
    """Return the lines that any answer to an instance has beside what was asked for."""
    shows_unread = name in ("inbox", "unread")
    return ("" if shows_unread else _unread_line(data), _unheard_line(data))


def _unread_line(data: Data) -> str:
    """Return the line that tells what is unread in which channels."""
    told = _counts(data.get("unread", {}))
    return f"Unread: {told}. Call inbox to read them." if told else ""


def _counts(unread: Mapping[str, int]) -> str:
    return ", ".join(f"{'99+' if count > 99 else count} in #{channel}" for channel, count in unread.items())


def _unheard_line(data: Data) -> str:
    """Return the line that tells of a task nobody asks for: whoever waits for that instance waits in vain."""
    where = data.get("unheard")
    if not where:
        return ""
    call = "inbox with wait" if where == "inbox" else f"wait_for_reply on #{where}"
    return f"Nobody listens: your client no longer asks for the task of your {call}. Call it again to be woken."


def quoted(name: str) -> str:
    """Return a name in quotes that nothing in it can end."""
    return json.dumps(name, ensure_ascii=False)


_BY_OTHERS = {"human": "a person of this workspace", "system": "the system"}
"""What the server says of senders that are no agents; it alone can stamp them."""


def message_block(message: Data, fence: Fence) -> str:
    """Return one message: a line that says who wrote it, and its text inside the fence."""
    who = _BY_OTHERS.get(message["sender_kind"]) or f"agent, {'verified' if message['verified'] else 'not verified'}"
    marks = [f"[{message['message_type']}]", message["created_at"]]
    if message["in_reply_to"]:
        marks.append(f"reply to #{message['in_reply_to']}")
    if message["reply_count"]:
        marks.append(_counted(message["reply_count"], "reply", "replies"))
    if message.get("again"):
        marks.append("shown before, not confirmed")
    head = f"#{message['id']} in #{message['channel']} from {quoted(message['sender'])} ({who}) {' · '.join(marks)}"
    return f"{head}\n{fence.around(message['content'])}"


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


def _blocks(messages: list[Data], fence: Fence) -> str:
    return "\n\n".join(message_block(message, fence) for message in messages)


_LISTENING = "A task of yours waits there and will wake you with the message. Do not wait again: end your turn."


def next_step(name: str, args: Args, data: Data) -> str:
    """Return what to do now, for answers that hold other agents' text."""
    steps: list[str] = []
    channel = args.get("channel", "general")
    last = data.get("last_id")
    if name == "wait_for_reply":
        steps.append(_after_wait(data, last) if data["messages"] else _keep_listening(args, data))
    elif data.get("has_more") and name == "check_messages":
        steps.append(f'There is more: check_messages(channel="{channel}", after_id={last}).')
    elif name == "check_messages" and last is not None:
        steps.append(f"Pass after_id={last} next time to get only newer messages.")
    elif name == "inbox":
        steps.append(_after_inbox(data))
    elif name == "get_shared_data" and data.get("next_offset"):
        steps.append(f"There is more: get_shared_data(key={quoted(data['key'])}, offset={data['next_offset']}).")
    if data.get("fetch"):
        steps.append(f"Older unread messages were left out; fetch them with {data['fetch']}.")
    return " ".join(step for step in (*steps, *beside(name, data)) if step)


def _after_wait(data: Data, last: int | None) -> str:
    if data["ended"] == "done":
        return "The other side signaled DONE: no more replies will come. Do not wait again for this conversation."
    more = " There is more: call check_messages." if data["has_more"] else ""
    return f"Answer with send_message, then wait_for_reply(after_id={last}) to keep listening.{more}"


def _after_inbox(data: Data) -> str:
    if data["messages"]:
        done = {f"#{message['channel']}" for message in data["messages"] if message["message_type"] == "done"}
        over = f" In {_few(sorted(done))} the other side signaled DONE: write there no more." if done else ""
        left = " Call inbox again for what is left." if data["has_more"] else ""
        return f"Answer with send_message (same channel, in_reply_to).{over}{left}"
    if data.get("ended") == "time":
        return "TO KEEP LISTENING: call inbox with wait again."
    return _ENDED.get(data.get("ended", ""), "")


_ENDED = {
    "superseded": "If the newer wait is not yours, another session has your name: register under a name of your own, "
    "then wait again.",
    "unregistered": "You have left the bus: register again before you go on.",
    "listening": _LISTENING,
    "restart": "The server restarts: wait some seconds, then call again.",
}
"""What to do after a wait that somebody ended."""


def _keep_listening(args: Args, data: Data) -> str:
    """Return how to go on after a wait that ended without a message."""
    first = _mutual(data) if data["ended"] == "mutual" else _ENDED.get(data["ended"], "")
    if first and data["ended"] not in ("mutual", "restart"):
        return first
    name = quoted(data["instance_id"])
    role = ', role="parked"' if args.get("role") == "parked" else ""
    where = f'channel="{data["channel"]}", instance_id={name}, after_id={data["resume_after_id"]}{role}'
    doubt = f"{no_such_channel(data['channel'])} " if data.get("no_such_channel") else ""
    return f"{first} {doubt}TO KEEP LISTENING: wait_for_reply({where}).".lstrip()


def no_such_channel(name: str) -> str:
    """Return what to make of a wait where nobody has written yet."""
    return f"There is no #{name} yet: if you mean another channel, list_channels has their names."


def _mutual(data: Data) -> str:
    """Return who stands still with whom, and that the reader is the one who can change it."""
    others = _few([quoted(name) for name in data.get("with", [])]) or "others"
    where = _few([f"#{channel}" for channel in data.get("waiting_on", [])]) or f"#{data['channel']}"
    return (
        f"MUTUAL WAIT with {others}, in {where}: everybody waits, and nobody awake is left to write. One has to speak, "
        "and you are the one who can: send_message there with what you have, what you need, or done; then wait again."
    )


def _few(names: list[str]) -> str:
    return f"{', '.join(names[:20])}{' …' if len(names) > 20 else ''}"


def register(args: Args, data: Data, fence: Fence) -> str:
    """Say who one is now, who else is here, and what to do."""
    others = [f"{quoted(each['instance_id'])} ({_state(each)})" for each in data["instances"]]
    names = [f"#{each['name']}" for each in data["channels"]]
    return _lines(
        f"Registered as {quoted(data['instance_id'])}{'' if data['is_new'] else ' (welcome back)'}.",
        f"Channels: {_few(names)}",
        f"Instances: {_few(others)}",
        "" if data["unread"] else "Nothing unread. Use check_messages, or wait_for_reply to listen.",
    )


def _state(instance: Data) -> str:
    places = [each if each == "inbox" else f"#{each}" for each in instance["waiting_on"]]
    return f"{instance['status']}, waits on {', '.join(places)}" if places else instance["status"]


def send_message(args: Args, data: Data, fence: Fence) -> str:
    """Say what was stored; never that it was read."""
    sender = data["sender"]
    reply = f" (reply to #{data['in_reply_to']})" if data.get("in_reply_to") else ""
    stored = f"Message #{data['id']} sent to #{data['channel']} as {quoted(sender)} [{data['message_type']}]{reply}"
    again = "" if data["created"] else " (already stored: this was a repeat with the same idempotency_key)"
    waiting = data["recipients"]
    return _lines(
        f"{stored}{again}.",
        f"{_counted(waiting, 'instance waits', 'instances wait')} there now."
        if waiting
        else "Nobody waits there now; it will be read later.",
    )


def check_messages(args: Args, data: Data, fence: Fence) -> str:
    """Show messages, or say that there are none."""
    channel, after_id = args["channel"], args.get("after_id")
    if not data["messages"]:
        none = "No messages" if after_id is None else "No new messages"
        return f"{none} in #{channel}."
    new = "new message(s)" if after_id is not None else "message(s)"
    return _lines(
        f"{len(data['messages'])} {new} in #{channel}.",
        fence.notice,
        _blocks(data["messages"], fence),
        f"Last message ID: {data['last_id']}",
        next_step("check_messages", args, data),
    )


def wait_for_reply(args: Args, data: Data, fence: Fence) -> str:
    """Show what came, or say why nothing did and how to go on."""
    channel = data["channel"]
    if data["messages"]:
        done = [message["sender"] for message in data["messages"] if message["message_type"] == "done"]
        return _lines(
            f"{len(data['messages'])} new message(s) in #{channel}.",
            fence.notice,
            _blocks(data["messages"], fence),
            *(f"{quoted(sender)} signaled DONE in #{channel}." for sender in dict.fromkeys(done)),
            f"Last message ID: {data['last_id']}",
            next_step("wait_for_reply", args, data),
        )
    return _lines(_no_reply(channel, data), _keep_listening(args, data))


def _no_reply(channel: str, data: Data) -> str:
    waited = f"{data['waited_seconds']:g} s"
    if data["ended"] == "superseded":
        return f"This wait in #{channel} was superseded by a newer one of the same instance."
    if data["ended"] == "restart":
        return f"The server is restarting: reconnect and go on. No new messages in #{channel} so far; nothing is lost."
    if data["ended"] == "mutual":
        return f"No new messages in #{channel} after {waited}: whoever could write here waits too."
    if data["ended"] == "unregistered":
        return f"The wait in #{channel} ended because the instance was unregistered."
    if data["ended"] == "listening":
        return f"You listen in #{channel} already."
    return (
        f"No new messages in #{channel} after {waited}, the transport-safe ceiling of one call or the time asked for. "
        "This is no error: the other side may be busy or offline."
    )


def get_replies(args: Args, data: Data, fence: Fence) -> str:
    """Show a message and its replies."""
    parent, replies = data["parent"], data["replies"]
    if parent is None and not replies:
        return "No replies."
    return _lines(
        f"{len(replies)} replies to #{args['message_id']}.",
        fence.notice,
        message_block(parent, fence) if parent else f"Message #{args['message_id']} is gone (past the retention).",
        _blocks(replies, fence),
    )


def message_status(args: Args, data: Data, fence: Fence) -> str:
    """Say what is known of a message, one line a fact; that somebody was handed it is not that they acted on it."""
    what = f"Message #{data['id']} in #{data['channel']} by {quoted(data['sender'])} [{data['message_type']}]"
    lines = [
        f"{what}: accepted {data['accepted']}.",
        *(f"Handed to {quoted(each['instance_id'])} first at {each['at']}." for each in data["handed"]),
        *(f"Answered by {quoted(each['by'])} with #{each['id']} at {each['at']}." for each in data["answered"]),
    ]
    if not data["handed"]:
        lines.append("Handed to nobody yet.")
    if not data["answered"]:
        lines.append("Not answered yet.")
    if claimed := data["claimed"]:
        lines.append(f"Claimed by {quoted(claimed['by'])} until {claimed['until']}.")
    elif data["message_type"] in ("request", "handoff"):
        lines.append("Claimed by nobody.")
    return _lines(*lines, "There is more than is shown here." if data["has_more"] else "")


def claim_message(args: Args, data: Data, fence: Fence) -> str:
    """Say whose the work is, until when, and how it ends."""
    if data["claimed_by"] is None:
        return f"Message #{data['id']} is claimed by nobody now."
    answered = _counted(data["reply_count"], "reply", "replies")
    return _lines(
        f"Message #{data['id']} is yours, {quoted(data['claimed_by'])}, until {data['until']}.",
        f"It has {answered} already: look at get_replies(message_id={data['id']}) first."
        if data["reply_count"]
        else "",
        f'Answer in channel="{data["channel"]}" with in_reply_to={data["id"]}: that ends the claim. Claim again to '
        "hold it longer, with release=true to give it back.",
    )


def inbox(args: Args, data: Data, fence: Fence) -> str:
    """Show unread messages of all channels."""
    left = _counts(data["unread"])
    if not data["messages"]:
        if data.get("ended") == "listening":
            return f"You listen in every channel already. {_LISTENING}"
        return _lines("No new messages in any channel.", f"Unread: {left}." if left else "")
    return _lines(
        f"{len(data['messages'])} unread message(s).",
        fence.notice,
        _blocks(data["messages"], fence),
        f"Still unread: {left}." if left else "Nothing else is unread.",
        next_step("inbox", args, data),
    )


def search_messages(args: Args, data: Data, fence: Fence) -> str:
    """Show what was found."""
    back = (
        f" Searched back to #{data['searched_back_to']}; for older ones narrow it by until, channel or sender."
        if data.get("searched_back_to")
        else ""
    )
    if not data["messages"]:
        return f"No messages match all of that; try fewer or shorter words.{back}"
    return _lines(f"{len(data['messages'])} message(s) found.{back}", fence.notice, _blocks(data["messages"], fence))


def create_channel(args: Args, data: Data, fence: Fence) -> str:
    """Say that the channel is there, under which name, and what looks like it."""
    made = f"Channel #{data['channel']} created." if data["created"] else f"Channel #{data['channel']} exists already."
    asked = args["asked_name"]
    normal = f" (normalized from {quoted(asked)})" if asked != data["channel"] else ""
    names = ", ".join(f"#{name}" for name in data["similar"])
    return _lines(made.replace(".", f"{normal}."), f"There are similar channels: {names}." if names else "")


def _channel_line(channel: Data) -> str:
    last = f", last at {channel['last_message_at']}" if channel["last_message_at"] else ""
    active = f", by {channel['active_senders']}" if channel["active_senders"] else ""
    about = f" — {channel['description']}" if channel["description"] else ""
    return f"#{channel['name']}: {_counted(channel['message_count'], 'message', 'messages')}{last}{active}{about}"


def list_channels(args: Args, data: Data, fence: Fence) -> str:
    """List channels."""
    lines = [_channel_line(channel) for channel in data["channels"]]
    return _lines(f"{_counted(len(lines), 'channel', 'channels')}.", *lines)


def find_channel(args: Args, data: Data, fence: Fence) -> str:
    """List the channels that match."""
    if not data["channels"]:
        return "No channel matches. Use create_channel to make one, or list_channels to see all."
    return list_channels(args, data, fence)


def list_instances(args: Args, data: Data, fence: Fence) -> str:
    """List who takes part, and how each can be reached."""
    lines = []
    for each in data["instances"]:
        about = f" — {each['description']}" if each["description"] else ""
        seen = f"is {each['status']}, last seen {each['last_seen']}"
        lines.append(f"{quoted(each['instance_id'])} {seen}; {_reach(each)}{about}")
    return _lines(f"{_counted(len(lines), 'instance', 'instances')}.", *lines)


def _reach(instance: Data) -> str:
    """Return how an instance can be reached now."""
    ways = []
    for each in instance["waits"]:
        place = f"#{each['channel']}" if each["channel"] else "its inbox"
        waits = f"waits on {place}{' as a task' if each['kind'] == 'task' else ''}"
        way = "hears of news" if each["kind"] == "events" else waits
        parked = " (parked)" if each["role"] == "parked" else ""
        ways.append(f"{way}{parked} since {each['since']} until {each['until']}")
    return ", ".join(ways) or "reads when it looks"


def subscribe(args: Args, data: Data, fence: Fence) -> str:
    """Say what the instance is subscribed to, and what that brings."""
    return _subscriptions(f"Subscribed to #{data['channel']}.", data)


def unsubscribe(args: Args, data: Data, fence: Fence) -> str:
    """Say what the instance is still subscribed to, and what that brings."""
    return _subscriptions(f"No longer subscribed to #{data['channel']}.", data)


def _subscriptions(done: str, data: Data) -> str:
    names = ", ".join(f"#{name}" for name in data["channels"])
    return _lines(
        f"{done} Subscribed channels: {names or 'none, so every one counts'}.",
        data["told"],
    )


def unread(args: Args, data: Data, fence: Fence) -> str:
    """Show what an instance has not read."""
    lines = [f"#{name}: {'99+' if count > 99 else count}" for name, count in data["unread"].items()]
    head = f"Unread by {quoted(data['instance_id'])}{':' if lines else ': nothing.'}"
    return _lines(head, *lines, "There are more channels; inbox shows all." if data["has_more"] else "")


def share_data(args: Args, data: Data, fence: Fence) -> str:
    """Say under which key the text can be had."""
    until = f" It expires at {data['expires_at']}." if data["expires_at"] else ""
    return (
        f"Shared {data['size_bytes']:,} bytes under key {quoted(data['key'])}.{until} Tell others the key in a message."
    )


def list_shared_data(args: Args, data: Data, fence: Fence) -> str:
    """List shared items."""
    lines = []
    for each in data["items"]:
        about = f" — {each['description']}" if each["description"] else ""
        lines.append(
            f"{quoted(each['key'])}: {each['size_bytes']:,} bytes by {quoted(each['created_by'])}, "
            f"{each['created_at']}{about}"
        )
    return _lines(f"{_counted(len(lines), 'shared item', 'shared items')}.", *lines)


def get_shared_data(args: Args, data: Data, fence: Fence) -> str:
    """Show an item, or the part of it that fits."""
    return _lines(
        f"{quoted(data['key'])}: {data['size_bytes']:,} bytes, shared by {quoted(data['created_by'])} at "
        f"{data['created_at']}.",
        fence.notice,
        fence.around(data["content"]),
        next_step("get_shared_data", args, data),
    )


def delete_shared_data(args: Args, data: Data, fence: Fence) -> str:
    """Say that it is gone."""
    return f"Deleted {quoted(args['asked_key'])}."


def unregister(args: Args, data: Data, fence: Fence) -> str:
    """Say that the place is free."""
    return "Unregistered: the place is free, and unread messages stay for when you come back."


def whoami(args: Args, data: Data, fence: Fence) -> str:
    """Say who calls and what is left."""
    usage = data["usage"]
    instance = f" and speaks for {quoted(data['instance'])} alone" if data["instance"] else ""
    rights = " It is read-only." if data["read_only"] else ""
    figures = [
        f"{name} {usage[name]['used']:,}{'' if usage[name]['limit'] is None else f' of {usage[name]["limit"]:,}'}"
        for name in ("messages", "instances", "channels", "data_bytes")
    ]
    return _lines(
        f"Workspace {quoted(data['workspace'])} on plan {usage['plan']}; the key {quoted(data['key_name'])} is a "
        f"{data['kind'].replace('_', ' ')}{instance}.{rights}",
        f"Used this month: {', '.join(figures)}. Messages start anew at {usage['resets_at']}.",
    )


TEXTS: dict[str, Callable[[Args, Data, Fence], str]] = {
    text.__name__: text
    for text in (
        register,
        unregister,
        send_message,
        check_messages,
        wait_for_reply,
        get_replies,
        message_status,
        claim_message,
        inbox,
        search_messages,
        create_channel,
        list_channels,
        find_channel,
        list_instances,
        subscribe,
        unsubscribe,
        unread,
        share_data,
        get_shared_data,
        list_shared_data,
        delete_shared_data,
        whoami,
    )
}
