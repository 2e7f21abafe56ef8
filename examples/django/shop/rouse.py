"""All that Django needs to enqueue: a cursor. Inside transaction.atomic() the job exists if and only if the block commits."""
import json

from django.db import connection


def enqueue(task, payload=None, **options):
    """Adds a job and returns its id. Options are those of rouse.enqueue: queue, priority, run_at, delay, unique_key, …"""
    named = "".join(f", {name} => %s" for name in options)
    with connection.cursor() as cursor:
        cursor.execute(f"select rouse.enqueue(%s, %s::jsonb{named})", [task, json.dumps(payload or {}), *options.values()])
        return cursor.fetchone()[0]
