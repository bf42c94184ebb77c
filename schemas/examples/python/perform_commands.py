"""Performs the hub's commands for one tenant: here it prints them, in a bridge it would write them into the ATS.

    AMQP_URL=amqp://user:password@host:5672 TENANT=acme .venv/bin/python perform_commands.py [--count N]

Each command is answered with `command.done.v1` or `command.failed.v1`, and acked only when the broker has confirmed the answer.
"""

import argparse
import json
import os
import sys
import uuid
from datetime import datetime, timezone

import pika

EVENTS = "atshub.events"
PREFETCH = 10
TIMEOUT_SECONDS = 10


class Performer:
    """Knows what it has done. A real bridge keeps this in its own store: the memory of a process is gone with it."""

    def __init__(self):
        self.sequences = {}
        self.markers = set()

    def perform(self, command):
        kind, data = command["type"], command["data"]
        if kind == "status.set.v1":
            application, sequence = data["application"]["id"], data["sequence"]
            if sequence < self.sequences.get(application, 0):
                # Commands may overtake each other: a status never goes backwards.
                print(f"status of {application}: {sequence} is older than what is shown, ignored", flush=True)
                return None
            print(f"status of {application}: {data['field']} = {data['text']} ({sequence})", flush=True)
            self.sequences[application] = sequence
            return None
        if kind == "note.added.v1":
            application, marker = data["application"]["id"], data["marker"]
            # The same command may come twice. Look for the marker in the notes of the ATS before writing.
            if marker in self.markers:
                print(f"note on {application}: {marker} is there already", flush=True)
            else:
                print(f"note on {application}: {data['body']}", flush=True)
                self.markers.add(marker)
            return f"note-{marker}"
        if kind == "roles.synced.v1":
            print(f"roles: {', '.join(role['name'] for role in data['roles'] if not role.get('archived'))}", flush=True)
            return None
        if kind == "followers.synced.v1":
            print(f"followers: {', '.join(data['followers'])}", flush=True)
            return None
        raise NotImplementedError(f"this bridge does not know `{kind}`")


def answer(command, performer):
    try:
        external_id = performer.perform(command)
        kind, data = "command.done.v1", {"command_id": command["id"]}
        if external_id:
            data["external_id"] = external_id
    except NotImplementedError as error:
        kind, data = "command.failed.v1", {"command_id": command["id"], "code": "unsupported", "message": str(error), "retryable": False}
    except OSError as error:
        # Where the ATS is away for a while: the hub sends the command again by its own schedule.
        kind, data = "command.failed.v1", {"command_id": command["id"], "code": "ats_unreachable", "message": f"{type(error).__name__}", "retryable": True}
    return {
        "specversion": "1.0",
        # The same command is answered under the same id, however often it is delivered: the hub handles one id once.
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{command['id']}/{kind}")),
        "source": f"/bridges/example/{command['tenant']}",
        "type": kind,
        "tenant": command["tenant"],
        "subject": f"command/{command['id']}",
        "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": data,
    }


def main():
    parser = argparse.ArgumentParser(description="performs the hub's commands for one tenant")
    parser.add_argument("--url", default=os.environ.get("AMQP_URL"), help="broker (or AMQP_URL)")
    parser.add_argument("--tenant", default=os.environ.get("TENANT"), help="tenant's name (or TENANT)")
    parser.add_argument("--count", type=int, default=0, help="stop after so many (default: never)")
    args = parser.parse_args()
    if not args.url or not args.tenant:
        parser.error("--url and --tenant are needed, or AMQP_URL and TENANT")

    parameters = pika.URLParameters(args.url)
    parameters.socket_timeout = TIMEOUT_SECONDS
    parameters.blocked_connection_timeout = TIMEOUT_SECONDS
    performer, done = Performer(), 0
    try:
        connection = pika.BlockingConnection(parameters)
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=PREFETCH)
        for delivery, _, body in channel.consume(f"atshub.commands.{args.tenant}"):
            try:
                command = json.loads(body)
                reply = answer(command, performer)
            except (ValueError, KeyError, TypeError) as error:
                # Not a command at all. It would be as bad the next time: to the dead letters, where an operator sees it.
                print(f"not a command: {error!r}", file=sys.stderr, flush=True)
                channel.basic_reject(delivery.delivery_tag, requeue=False)
            else:
                channel.basic_publish(
                    exchange=EVENTS,
                    routing_key=f"{args.tenant}.{reply['type']}",
                    body=json.dumps(reply).encode(),
                    properties=pika.BasicProperties(
                        content_type="application/cloudevents+json", delivery_mode=pika.DeliveryMode.Persistent, message_id=reply["id"]
                    ),
                    mandatory=True,
                )
                # Last, and only now: whatever breaks before, the broker delivers the command again.
                channel.basic_ack(delivery.delivery_tag)
            done += 1
            if args.count and done >= args.count:
                break
        channel.cancel()
        connection.close()
        return 0
    except KeyboardInterrupt:
        return 0
    except pika.exceptions.UnroutableError:
        print(f"returned: no queue takes the answers of tenant `{args.tenant}`; the command stays in its queue", file=sys.stderr)
    except (pika.exceptions.ProbableAuthenticationError, pika.exceptions.ProbableAccessDeniedError, pika.exceptions.ChannelClosedByBroker) as error:
        # No such queue (the hub makes it for a tenant of kind `bridge`), or not for this user: waiting does not help.
        print(f"refused by the broker: {error!r}", file=sys.stderr)
    except (pika.exceptions.AMQPError, OSError) as error:
        print(f"the broker is away: {error!r}. What was not acked is delivered again; start this program again", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
