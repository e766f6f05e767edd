"""The lab: services and a router of this machine for the time of one `with` block, and nothing left behind.

    with Lab({"v1": Deployment(model, features), "v2": Deployment(better, features)}) as lab:
        lab.ask({"distance": 1400}, user="ben")

A lab works where an event loop already runs (a notebook). It ends what it has started when the block ends, whatever ended it; when the
lab is garbage; when the process ends. When the process is killed, its children notice within a second, and the next lab clears the folder.
"""

import contextlib
import os
import secrets
import time
import weakref

from mlprod_helpers.names import nearest_name
from mlprod_helpers.serving import redaction
from mlprod_helpers.serving.headers import check_version
from mlprod_helpers.serving.lab.deployment import Deployment
from mlprod_helpers.serving.lab.requests import LabClient
from mlprod_helpers.serving.lab.resources import Resources
from mlprod_helpers.serving.lab.rollout import LiveRollout
from mlprod_helpers.serving.processes import LabError, new_folder, refusal
from mlprod_helpers.serving.router.plan import RoutePlan, RouterConfig
from mlprod_helpers.serving.router.process import RouterProcess
from mlprod_helpers.serving.service.config import ServiceConfig
from mlprod_helpers.serving.service.process import start

MAX_VERSIONS = 6
MICRO_BATCH = 32  # rows at most that a worker takes at once, where a version does not say otherwise
_NOWHERE = "http://127.0.0.1:9"  # until the services are there


class Lab(LabClient):
    """Services and a router, all on free ports of 127.0.0.1, while a `with` block runs.

    Parameters
    ----------
    versions : dict, name -> `Deployment`, or a model of `demo.eta_models`; at most 6. None: v1 and v2 of `demo.eta_models`
    stable, canary : str, who answers (None: the first and the second); at the start the stable version has everybody
    show : function that gets each line of progress, such as "v1 is ready" (None: silence)
    redact : what neither router nor services log: features, and "user_id", which is logged as a keyed hash. What a version redacts
        besides, the router does not log either.
    lifetime_s : float, seconds after which all processes end by themselves, whatever happens
    timeout : float, seconds within which everything must be ready
    routing : dict, further fields of `RouterConfig`: failover, retry_paths ...

    Attributes
    ----------
    url : str, the router's address
    services : dict, version -> `ServiceProcess` (url, port, pid, version ...)
    router : `RouterProcess`
    folder : Path, of models and logs; gone when the lab is closed
    plan : `RoutePlan` in force; stable, canary : str, of that plan

    Raises
    ------
    LabError : no ports or processes here (see `refusal`), or a service did not start; the message says why.
    ValueError : the versions or settings are wrong.
    """

    def __init__(
        self,
        versions=None,
        stable=None,
        canary=None,
        *,
        show=print,
        redact=("user_id",),
        lifetime_s=600.0,
        timeout=60.0,
        routing=None,
    ):
        if versions is None:
            from mlprod_helpers.serving.lab.demo import eta_models

            eta = eta_models()
            versions = {"v1": eta.v1, "v2": eta.v2}
        if not 1 <= len(versions) <= MAX_VERSIONS:
            raise ValueError(f"There are {len(versions)} versions: 1 to {MAX_VERSIONS}.")
        for name in versions:
            check_version(name)
        if len({name.lower() for name in versions}) < len(versions):  # they name files
            raise ValueError(f"Two of {sorted(versions)} differ by capitals only: rename one.")
        if not 1 <= lifetime_s <= 7200:
            raise ValueError(f"lifetime_s is {lifetime_s}, but a lab lives for 1 to 7,200 seconds.")
        self._deployments = {name: Deployment.of(version) for name, version in versions.items()}
        names = list(versions)
        stable = names[0] if stable is None else stable
        others = [name for name in names if name != stable]
        canary = canary if canary is not None or not others else others[0]
        upstreams = dict.fromkeys(names, _NOWHERE)
        self._plan = self._first = RoutePlan(upstreams=upstreams, stable=stable, canary=canary)
        self._routing, self._redact = dict(routing or {}), tuple(redact)
        self._show = show if show is not None else lambda line: None
        self.lifetime_s, self._timeout = float(lifetime_s), float(timeout)
        self._resources = None

    # --------------------------------------------------------------------------------- start and end

    def start(self):
        """What `with` does at its beginning; for a lab that lives through several cells. Returns the lab. End it with `close()`."""
        if self._resources is not None:
            raise LabError("This lab runs already. Close it first, or make another one.")
        if why := refusal():
            raise LabError(why)
        self._resources, self._plan = Resources(new_folder()), self._first
        resources = self._resources
        weakref.finalize(self, resources.close, wait=False).atexit = False  # at exit `_close_all` does it
        try:
            self._begin(resources)
        except BaseException:
            self.close()
            raise
        return self

    def _begin(self, resources):
        end = time.monotonic() + self._timeout
        hidden = [*self._redact, *(name for one in self._deployments.values() for name in one.redact)]
        if "user_id" in self._redact:  # a key that lives as long as this process; the logs go with the lab
            os.environ.setdefault(redaction.KEY_NAME, secrets.token_hex(16))
        config = RouterConfig(
            plan=self._plan,
            log=str(self._path()),
            redact=tuple(dict.fromkeys(hidden)),
            lifetime_s=self.lifetime_s,
            **self._routing,
        )
        resources.launch("the router", lambda: resources.keep(RouterProcess(config)))
        for version in self._deployments:
            resources.launch(version, lambda version=version: self._serve(resources, version))
        for version in self._deployments:
            resources.wait(version, end)
            self._show(f"{version} is ready")
        resources.wait("the router", end)
        upstreams = {name: resources.services[name].url for name in self._deployments}
        self._change(lambda plan: plan.replace(upstreams=upstreams))
        self._show("the router is ready")

    def _serve(self, resources, version):
        """Save the model, start its service, wait until it is ready."""
        deployment = self._deployments[version]
        folder = str(deployment.model if deployment.is_folder else resources.folder / version)
        if not deployment.is_folder and not os.path.exists(folder):
            from mlprod_helpers.serving.service.models import save_model

            save_model(deployment.model, folder, version=version, features=deployment.features)
        settings = {"drain_s": 0.0} | deployment.settings  # the router knows before a service drains
        if "workers" not in settings:
            settings = {"workers": 1, "batch_rows": MICRO_BATCH} | settings
        settings["redact"] = tuple(dict.fromkeys((*self._redact, *deployment.redact)))
        log = str(self._path(version))
        config = ServiceConfig(model=folder, version=version, log=log, lifetime_s=self.lifetime_s, **settings)
        process = resources.keep(self._start_service(config), version)
        process.ready(self._timeout)
        return process

    def _start_service(self, config):
        return start(config)

    def close(self):
        """End everything now: services, router, running rollouts, the folder. A second time: nothing happens."""
        resources, self._resources = self._resources, None
        if resources is not None:
            resources.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.close()

    def __repr__(self):
        return f"Lab({', '.join(self._deployments)}; {'runs' if self.running else 'closed'})"

    # ------------------------------------------------------------------------------------ what there is

    @property
    def running(self):
        """True between start and close."""
        return self._resources is not None

    @property
    def url(self):
        return self._running().router.url

    @property
    def services(self):
        return dict(self._running().services)

    @property
    def router(self):
        return self._running().router

    @property
    def folder(self):
        return self._running().folder

    @property
    def plan(self):
        return self.router.plan

    @property
    def stable(self):
        return self._plan.stable

    @property
    def canary(self):
        return self._plan.canary

    # ---------------------------------------------------------------------------------------- rollouts

    def rollout(self, plan, judge, rows, *, rate, duration, every=None, wait=True, **settings):
        """A rollout from the stable version to the canary, driven by `rollout.Controller` over the real router, under an open loop of users.

        Parameters
        ----------
        plan, judge : of `mlprod_helpers.rollout`; the plan's times are real seconds here
        rows, rate, duration, settings : of the load, see `open_loop`
        every : float, seconds between two looks of the driver (a tenth of the plan's interval)
        wait : bool. False: returns at once; `.wait()` waits, `.stop()` ends it.

        Returns
        -------
        LiveRollout : table, tries, history, decision, rolled_back, promoted, answered, failed, harmed, summary(), plot() ... The load
            goes on to its end after a rollback; weights stay as the controller left them.
        """
        resources, current = self._running(), self.plan
        if current.canary is None:
            raise LabError("A rollout goes from one version to another: this lab has no canary.")
        resources.rollouts = [one for one in resources.rollouts if one.running]
        if resources.rollouts:
            raise LabError("A rollout is still running here: wait for it, or stop it.")
        self.set_weights({current.stable: 100, current.canary: 0})
        live = LiveRollout(
            plan,
            judge,
            resources,
            self.url,
            self._path(),
            rows,
            stable=current.stable,
            canary=current.canary,
            every=every,
            rate=rate,
            duration=duration,
            **settings,
        )
        resources.rollouts.append(live)
        return live.wait() if wait else live

    def set_weights(self, weights, mirror=0.0):
        """Set the percent of the users by version, {"v1": 80, "v2": 20}, and the percent of the stable version's requests that are
        copied to the canary. Returns the `RoutePlan`."""
        return self._running().set_weights(weights, mirror=mirror)

    def roles(self, stable, canary=None):
        """Say who is stable and who canary, of more than two versions; the canary begins at weight 0. Returns the `RoutePlan`."""
        return self._change(lambda plan: plan.replace(stable=stable, canary=canary, weight=0.0, mirror=0.0))

    def kill(self, version):
        """SIGKILL: the process is gone at once, as after a crash. Returns nothing."""
        self._service(version).kill()

    def drain(self, version, timeout=10.0):
        """Take a version out: no new requests, those in flight get their answer, then its process ends. Returns how many were left: 0, or
        more after `timeout` seconds."""
        process = self._service(version)
        left = self.router.drain(version, timeout)
        process.drain()
        return left

    def restart(self, version):
        """A new process for this version (at another port), and requests for it when it is ready. Returns the `ServiceProcess`."""
        resources, old = self._running(), self._service(version)
        with contextlib.suppress(Exception):
            old.stop()
        process = self._serve(resources, version)

        def restarted(plan):
            draining = tuple(name for name in plan.draining if name != version)
            return plan.replace(upstreams={**plan.upstreams, version: process.url}, draining=draining)

        self._change(restarted)
        self._show(f"{version} is ready")
        return process

    # ------------------------------------------------------------------------------------ small things

    def _running(self):
        if self._resources is None:
            raise LabError("This lab is closed. Start one: with Lab(...) as lab: ...")
        return self._resources

    def _known(self, version):
        if version not in self._deployments:
            raise ValueError(
                f"This lab has no version {version!r}: {nearest_name(str(version), self._deployments)}."
            )
        return version

    def _service(self, version):
        return self._running().services[self._known(version)]

    def _path(self, version=None):
        name = "router" if version is None else self._known(version)
        return self.folder / f"log-{name}.jsonl"

    def _change(self, make):
        self._plan = self._running().change(make)
        return self._plan
