"""The lab: services and a router of this machine for the time of one `with` block, and nothing left behind.

    with Lab({"v1": Deployment(model, features), "v2": Deployment(better, features)}) as lab:
        lab.ask({"distance": 1400}, user="ben")

A lab works where an event loop already runs (a notebook). It ends what it has started when the block ends, whatever ended it; when the
lab is garbage; when the process ends. When the process is killed, its children notice within a second, and the next lab clears the folder.
"""

import contextlib
import os
import secrets
import weakref
from pathlib import Path

from mlprod_helpers.names import nearest_name
from mlprod_helpers.serving.lab.deployment import Deployment
from mlprod_helpers.serving.lab.requests import LabClient
from mlprod_helpers.serving.lab.resources import Resources
from mlprod_helpers.serving.lab.rollout import run_rollout
from mlprod_helpers.serving.processes import LabError, new_folder, refusal
from mlprod_helpers.serving.redaction import KEY_NAME
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
    versions : dict, name -> `Deployment`, or a model of `demo.eta_models`; at most 6. The first is the stable version, which has everybody
        at the start, and the second the canary. None: v1 and v2 of `demo.eta_models`
    show : function that gets each line of progress, such as "v1 is ready" (None: silence)
    redact : what neither router nor services log: features, and "user_id", which is logged as a keyed hash
    lifetime_s : float, seconds after which all processes end by themselves, whatever happens
    timeout : float, seconds within which everything must be ready

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
        *,
        show=print,
        redact=("user_id",),
        lifetime_s=600.0,
        timeout=60.0,
    ):
        if versions is None:
            from mlprod_helpers.serving.lab.demo import eta_models

            eta = eta_models()
            versions = {"v1": eta.v1, "v2": eta.v2}
        if not 1 <= len(versions) <= MAX_VERSIONS:
            raise ValueError(f"There are {len(versions)} versions: 1 to {MAX_VERSIONS}.")
        self._deployments = {name: Deployment.of(version) for name, version in versions.items()}
        stable, canary, *_ = *versions, None
        upstreams = dict.fromkeys(versions, _NOWHERE)
        self._plan = self._first = RoutePlan(upstreams=upstreams, stable=stable, canary=canary)
        self._redact = tuple(redact)
        self._show = show if show is not None else lambda line: None
        self._lifetime_s, self._timeout = lifetime_s, timeout
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
        if "user_id" in self._redact:  # a key that lives as long as this process; the logs go with the lab
            os.environ.setdefault(KEY_NAME, secrets.token_hex(16))
        config = RouterConfig(
            plan=self._plan,
            log=self._path(),
            redact=self._redact,
            lifetime_s=self._lifetime_s,
        )
        starts = {name: resources.pool.submit(self._serve, resources, name) for name in self._deployments}
        starts["the router"] = resources.pool.submit(lambda: resources.keep(RouterProcess(config)))
        for name, started in starts.items():
            try:
                started.result()
            except (OSError, RuntimeError) as error:  # a LabError and a ModelError are RuntimeErrors
                raise LabError(f"{name}: {error}") from None
            self._show(f"{name} is ready")
        upstreams = {name: resources.services[name].url for name in self._deployments}
        self._change(lambda plan: plan.replace(upstreams=upstreams))

    def _serve(self, resources, version):
        """Save the model, start its service, wait until it is ready."""
        deployment = self._deployments[version]
        folder = Path(deployment.model) if deployment.is_folder else resources.folder / version
        if not deployment.is_folder and not folder.exists():
            from mlprod_helpers.serving.service.models import save_model

            save_model(
                deployment.model,
                folder,
                version=version,
                features=deployment.features,
                prepare=deployment.prepare,
            )
        settings = {"drain_s": 0.0} | deployment.settings  # the router knows before a service drains
        if "workers" not in settings:
            settings = {"workers": 1, "batch_rows": MICRO_BATCH} | settings
        settings["redact"] = self._redact
        log = self._path(version)
        config = ServiceConfig(
            model=folder, version=version, log=log, lifetime_s=self._lifetime_s, **settings
        )
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

    def rollout(self, plan, judge, rows, *, rate, duration, **settings):
        """A rollout from the stable version to the canary, driven by `rollout.Controller` over the real router, under an open loop of users.

        Parameters
        ----------
        plan, judge : of `mlprod_helpers.rollout`; the plan's times are real seconds here
        rows, rate, duration, settings : of the load, see `open_loop`

        Returns
        -------
        LiveRollout : table, tries, history, decision, rolled_back, promoted, answered, failed, harmed, summary(), plot() ... The load
            goes on to its end after a rollback; weights stay as the controller left them.
        """
        if self.canary is None:
            raise LabError("A rollout goes from one version to another: this lab has no canary.")
        self.set_weights({self.stable: 100, self.canary: 0})
        return run_rollout(self, plan, judge, rows, rate=rate, duration=duration, **settings)

    def set_weights(self, weights, mirror=0.0):
        """Set the percent of the users by version, {"v1": 80, "v2": 20}, and the percent of the stable version's requests that are
        copied to the canary. Returns the `RoutePlan`."""
        return self._change(lambda plan: plan.weighted(weights, mirror))

    def roles(self, stable, canary=None):
        """Say who is stable and who canary, of more than two versions; the canary begins at weight 0. Returns the `RoutePlan`."""
        return self._change(lambda plan: plan.replace(stable=stable, canary=canary, weight=0.0, mirror=0.0))

    def kill(self, version):
        """SIGKILL: the process is gone at once, as after a crash. Returns nothing."""
        self._service(version).kill()

    def drain(self, version):
        """Take a version out: no new requests, those in flight get their answer, then its process ends. Returns how many were left: 0, or
        more after ten seconds."""
        process = self._service(version)
        left = self.router.drain(version)
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
