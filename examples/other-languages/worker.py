# A worker in Python: woken by NOTIFY, at the latest after 4 seconds. DATABASE_URL=… python3 worker.py
import json, os, select, psycopg2

db = psycopg2.connect(os.environ["DATABASE_URL"]); db.autocommit = True; cursor = db.cursor()
def call(function, *args): cursor.execute("select * from rouse." + function, args); return cursor.fetchall()
[(worker,)] = call("register_v1('python', tasks => '{greet}')")
[(channel,)] = call("channel()"); cursor.execute("listen " + channel)
call("hold_v1(%s)", worker)
while True:
    call("beat_v1(%s)", worker)
    for job, lease, task, payload, *_ in call("claim_v1(%s, tasks => '{greet}', most => 10)", worker):
        try: call("complete_v1(%s, %s, %s)", job, lease, json.dumps("Hello, " + payload["name"]))
        except KeyError: call("fail_v1(%s, %s, %s, retry => false)", job, lease, json.dumps("nobody to greet"))
    select.select([db], [], [], 4); db.poll()
