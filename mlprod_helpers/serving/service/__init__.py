"""One model behind HTTP. `app.create_app` is the table of what can be asked, and `/docs` describes it.

`start(config)` runs one in a process of its own. The process prints one line of JSON as soon as it listens:
`{"pid": 4711, "port": 40123, "url": "http://127.0.0.1:40123", "version": "v1"}`. SIGTERM ends it well; `server.EXIT` lists the exit codes.

Every request to `/predict`, refused or not, is one row of the log (with many rows: `r1.0`, `r1.1`, ...), written before the answer
leaves. A row with `served` True is written by the one service whose answer went back; `X-Shadow: 1` says that a request is a copy.
"""
