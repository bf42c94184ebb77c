"""Publishes one `application.moved.v1`: an application entered a stage.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    AMQP_URL=amqp://user:password@host:5672 TENANT=acme .venv/bin/python publish_move.py \
        --application 8842 --stage "Karat Assessment" --name "Ada Lovelace" --email ada@example.org

Prints the message's id, and exits 0 only when the broker has confirmed it.
"""

import argparse
import json
import os
import sys
import time
import uuid
from datetime import datetime, timezone

import pika

EXCHANGE = "atshub.events"
TYPE = "application.moved.v1"
ATTEMPTS = 5
TIMEOUT_SECONDS = 10


def arguments():
    parser = argparse.ArgumentParser(description="publishes one application.moved.v1")
    parser.add_argument("--url", default=os.environ.get("AMQP_URL"), help="broker, amqp:// or amqps:// (or AMQP_URL)")
    parser.add_argument("--tenant", default=os.environ.get("TENANT"), help="tenant's name (or TENANT)")
    parser.add_argument("--application", required=True, help="id of the application in the ATS")
    parser.add_argument("--stage", required=True, help="name of the stage that was entered")
    parser.add_argument("--name", help="the candidate's full name")
    parser.add_argument("--email", help="the candidate's address")
    parser.add_argument("--job", help="id of the job in the ATS")
    parser.add_argument("--role", help="the platform role that the job names")
    parser.add_argument("--time", help="when it happened, RFC 3339 with an offset (default: now)")
    parser.add_argument("--id", help="message id (default: a new one). To repeat a message, repeat its id")
    found = parser.parse_args()
    if not found.url or not found.tenant:
        parser.error("--url and --tenant are needed, or AMQP_URL and TENANT")
    return found


def given(**fields):
    """Only the fields that have a value: leave out what you do not know, the hub asks the ATS where it can."""
    return {name: value for name, value in fields.items() if value} or None


def envelope(args):
    data = given(
        application={"id": args.application},
        candidate=given(name=args.name, email=args.email),
        job=given(id=args.job, role=args.role),
        to_stage={"name": args.stage},
    )
    return {
        "specversion": "1.0",
        "id": args.id or str(uuid.uuid4()),
        "source": f"/bridges/example/{args.tenant}",
        "type": TYPE,
        "tenant": args.tenant,
        "subject": f"application/{args.application}",
        "time": args.time or datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": data,
    }


def connect(url):
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = TIMEOUT_SECONDS
    parameters.stack_timeout = TIMEOUT_SECONDS
    # A broker that is short of memory or disk blocks publishers: do not wait for it for ever.
    parameters.blocked_connection_timeout = TIMEOUT_SECONDS
    return pika.BlockingConnection(parameters)


def publish(url, message):
    """Returns when the broker has taken the message. Raises UnroutableError or NackError when it has not."""
    connection = connect(url)
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(
            exchange=EXCHANGE,
            routing_key=f"{message['tenant']}.{message['type']}",
            body=json.dumps(message).encode(),
            properties=pika.BasicProperties(
                content_type="application/cloudevents+json",
                delivery_mode=pika.DeliveryMode.Persistent,
                message_id=message["id"],
            ),
            mandatory=True,
        )
    finally:
        if connection.is_open:
            connection.close()


def main():
    args = arguments()
    message = envelope(args)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            publish(args.url, message)
            print(message["id"])
            return 0
        except pika.exceptions.UnroutableError:
            print(f"returned: no queue takes `{args.tenant}.{TYPE}`. Is there a tenant `{args.tenant}`, and is the hub set up on this broker?", file=sys.stderr)
            return 1
        except pika.exceptions.NackError:
            print(f"nacked: the broker could not keep message {message['id']}. Publish it again with --id {message['id']}", file=sys.stderr)
            return 1
        except (pika.exceptions.ProbableAuthenticationError, pika.exceptions.ProbableAccessDeniedError, pika.exceptions.ChannelClosedByBroker) as error:
            print(f"refused by the broker: {error!r}", file=sys.stderr)
            return 1
        except (pika.exceptions.AMQPError, OSError) as error:
            # Nobody knows whether the broker has the message. Send it again *with the same id*: the hub handles one id once.
            print(f"attempt {attempt} of {ATTEMPTS} is unclear: {error!r}", file=sys.stderr)
            if attempt < ATTEMPTS:
                time.sleep(min(2 ** (attempt - 1), 5))
    print(f"not confirmed. Publish it again with --id {message['id']}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
