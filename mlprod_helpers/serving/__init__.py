"""The real thing: a router with real plans, driven by the controller of the rollouts, and load that arrives when it is due.

Everything here listens on 127.0.0.1 only, is bounded in count and time, ends by itself, and writes the same table as the
simulators (see `requestlog`).

| question | where |
| --- | --- |
| Who gets which version? One immutable plan, swapped whole, sticky per user | `routes.RoutePlan` |
| How do requests get there, and copies, without anybody waiting? | `router.Router`, `router.RouterProcess` |
| How does a judge of `rollout` move real weights? | `driver.Driver` |
| How long do users wait, counted from the moment they came? | `load.open_loop`, `load.closed_loop`, `load.replay_log` |
| Are ports and processes to be had here at all? | `processes.refusal` |

Any HTTP service on this machine can stand behind the router, as long as it answers `POST /predict` with JSON
(`{"prediction": ...}`) and `GET /readyz` with 200 when it takes requests. The modules are imported by name, so that a
notebook that only reads a log needs no web framework.
"""
